import { expect } from 'chai';
import { brokerOptions } from '../../../src/config/broker-options.ts';
import { readArguments } from '../../../src/config/config.ts';
import { configurationPage, helpText } from '../../../src/config/describe-options.ts';
import type { Option } from '../../../src/config/option-types.ts';
import { flagOf, type OptionName, options } from '../../../src/config/options.ts';
import { complaintOf, configOf } from '../../support/arguments.ts';

/** For each option a value other than its default, and what it becomes; then values that it must not take. */
const samples: Readonly<Record<OptionName, { text: string; value: unknown; bad: readonly string[] }>> = {
  brokerList: {
    text: 'kafka-1:9092, [fd00::1]:9093',
    value: ['kafka-1:9092', '[fd00::1]:9093'],
    bad: ['kafka', 'kafka:', ':9092', 'kafka:0', 'kafka:65536', 'a:1,,b:2', 'a:1,', 'fd00::1:9092', '[kafka]:9092'],
  },
  brokerPort: { text: '65535', value: 65_535, bad: ['0', '65536', 'kafka'] },
  dataDir: { text: '/var/lib/bitacora', value: '/var/lib/bitacora', bad: [] },
  brokerFlush: { text: 'acks-all', value: 'acks-all', bad: ['always', 'fsync', 'None'] },
  kafkaTopic: {
    text: 'Prices.v2_eu-1',
    value: 'Prices.v2_eu-1',
    bad: ['.', '..', 'a b', 'a/b', 'ü', 'a\n', 'x'.repeat(242)],
  },
  kafkaPartitions: { text: '12', value: 12, bad: ['0', '1025', '-1', '1.5', '1e2', '0x10', 'one', ' 1', '1 '] },
  kafkaSsl: { text: 'true', value: true, bad: ['TRUE', 'yes', '1', '0', ' true'] },
  kafkaSslCaFile: { text: '', value: undefined, bad: [] },
  kafkaSslCertFile: { text: '', value: undefined, bad: [] },
  kafkaSslKeyFile: { text: '', value: undefined, bad: [] },
  kafkaSaslMechanism: { text: '', value: undefined, bad: ['PLAIN', 'scram-sha-1', 'oauthbearer'] },
  kafkaSaslUsername: { text: '', value: undefined, bad: [] },
  kafkaSaslPassword: { text: '', value: undefined, bad: [] },
  apiPort: { text: '65435', value: 65_435, bad: ['0', '65536', '-8082', '8082.0', 'http', '99999999999999999999'] },
  apiHost: { text: '::1', value: '::1', bad: ['a b', '-a', 'a-', 'a..b', 'http://a', '127.0.0.1:80', 'x'.repeat(254)] },
  avroPort: { text: '65535', value: 65_535, bad: ['0', '65536', 'off'] },
  allowAnonymous: { text: 'true', value: true, bad: ['True', 'on', 'null'] },
  nodename: { text: 'node-1.example', value: 'node-1.example', bad: ['node 1', 'node/1', '[::1]', 'node:8082', 'ü'] },
  zookeeperHost: {
    text: 'zk-1:2181,[fd00::1]:2182/apps/bitacora.v2',
    value: { hosts: ['zk-1:2181', '[fd00::1]:2182'], chroot: '/apps/bitacora.v2' },
    bad: ['zk', 'zk:2181//', 'zk:2181/a/', 'zk:2181/../a', 'zk:2181/.', 'zk:2181/a b', '/a', 'zk:0/a', 'zk:2181/ü'],
  },
  peers: { text: 'a:1,b:2', value: ['a:1', 'b:2'], bad: ['a', 'a:1,', 'http://a:1', 'a:1/x'] },
  missLookup: { text: 'behind', value: 'behind', bad: ['Always', 'yes', 'false'] },
  peerTimeoutMs: { text: '60000', value: 60_000, bad: ['9', '60001', '250ms'] },
  partitioner: { text: 'crc32', value: 'crc32', bad: ['CRC32', 'random', 'murmur2_random'] },
  orderedIndex: { text: 'off', value: 'off', bad: ['true', 'ON', 'no'] },
  logReader: { text: 'kafkajs', value: 'kafkajs', bad: ['Direct', 'java'] },
  snapshotIntervalMs: { text: '0', value: 0, bad: ['-1', '86400001', '5m'] },
  valueBytesMax: { text: '67108864', value: 67_108_864, bad: ['0', '67108865', '1MB', '1_000', '∞'] },
  writeTimeoutMs: { text: '100', value: 100, bad: ['99', '300001', '1s', '-1'] },
  readTimeoutMs: { text: '10', value: 10, bad: ['9', '300001', 'never'] },
  readyLagMaxMs: { text: '3600000', value: 3_600_000, bad: ['999', '3600001', 'NaN'] },
  logLevel: { text: 'trace', value: 'trace', bad: ['Info', 'warning', 'off'] },
};

const table = Object.entries(options) as [OptionName, Option<unknown>][];
const withText = table.filter(([name]) => samples[name].text !== '');

describe('an option', () => {
  for (const [name, option] of table) {
    it(`${option.env} has a default that its own type takes, and a flag of the same name`, () => {
      if (option.default !== undefined) expect(() => option.type.parse(option.default!)).not.to.throw();
      expect(flagOf(option)).to.equal(option.env.toLowerCase().split('_').join('-'));
      expect(option.env).to.match(/^[A-Z]+(_[A-Z]+)*$/);
      expect(option.help, name).to.match(/\.$/);
    });
  }

  it('has its default where nothing is said', () => {
    const config = configOf({});
    for (const [name, option] of table) {
      if (option.default !== undefined) expect(config[name], name).to.deep.equal(option.type.parse(option.default));
    }
  });

  for (const [name, option] of withText) {
    const { text, value } = samples[name];
    it(`${option.env} is taken from the environment and from the flag`, () => {
      expect(value).not.to.deep.equal(configOf({})[name]);
      expect(configOf({ [option.env]: text })[name]).to.deep.equal(value);
      expect(configOf({}, [`--${flagOf(option)}`, text])[name]).to.deep.equal(value);
      expect(configOf({}, [`--${flagOf(option)}=${text}`])[name]).to.deep.equal(value);
    });

    it(`${option.env} as a flag wins over the environment, whatever stands there`, () => {
      const other = option.default ?? 'other';
      expect(configOf({ [option.env]: other }, [`--${flagOf(option)}`, text])[name]).to.deep.equal(value);
      const [bad] = samples[name].bad;
      expect(configOf({ [option.env]: bad }, [`--${flagOf(option)}`, text])[name]).to.deep.equal(value);
    });

    it(`${option.env} counts as unset where it is empty`, () => {
      expect(configOf({ [option.env]: '' })[name]).to.deep.equal(configOf({})[name]);
    });
  }

  for (const [name, option] of table) {
    for (const bad of samples[name].bad) {
      it(`${option.env} is not ${JSON.stringify(bad.length > 20 ? `${bad.slice(0, 20)}…` : bad)}`, () => {
        const shown = JSON.stringify(bad.length > 80 ? `${bad.slice(0, 80)}…` : bad);
        expect(complaintOf({ [option.env]: bad })).to.equal(`${option.env} is ${shown}: expected ${option.type.label}`);
        const flag = `--${flagOf(option)}`;
        expect(complaintOf({}, [`${flag}=${bad}`])).to.equal(`${flag} is ${shown}: expected ${option.type.label}`);
      });
    }
  }

  for (const [, option] of table) {
    it(`${option.env} takes no empty flag: whoever writes one means something`, () => {
      const complaint = complaintOf({}, [`--${flagOf(option)}=`]);
      expect(complaint).to.match(new RegExp(`^--${flagOf(option)} is (""|\\(hidden\\)): expected `));
    });
  }

  it('keeps nothing back when its value is long, except the tail', () => {
    const complaint = complaintOf({ NODENAME: `${'a'.repeat(80)}/${'b'.repeat(1000)}` });
    expect(complaint)
      .to.include(`"${'a'.repeat(80)}…"`)
      .and.not.include('b');
  });
});

describe('arguments', () => {
  for (const flag of ['--help', '-h']) {
    it(`${flag} asks for help, whatever else is wrong`, () => {
      expect(readArguments([flag, '--api-port', 'x'], { API_PORT: 'y' })).to.deep.equal({ kind: 'help' });
    });
  }

  for (const flag of ['--version', '-v']) {
    it(`${flag} asks for the version`, () => {
      expect(readArguments([flag], { API_PORT: 'y' })).to.deep.equal({ kind: 'version' });
    });
  }

  const mistakes: ReadonlyArray<[argv: readonly string[], names: string]> = [
    [['--api-prt', '80'], '--api-prt'],
    [['--API_PORT', '80'], '--API_PORT'],
    [['-p', '80'], '-p'],
    [['8083'], '8083'],
    [['--api-port'], '--api-port'],
    [['--api-port', '--api-host'], '--api-port'],
    [['--help=yes'], '--help'],
    [['--no-kafka-ssl'], '--no-kafka-ssl'],
  ];
  for (const [argv, named] of mistakes) {
    it(`${argv.join(' ')} is refused with one line that points at --help`, () => {
      const complaint = complaintOf({}, argv);
      expect(complaint)
        .to.include(named)
        .and.match(/; --help lists every option$/);
    });
  }

  it('have a node start its own broker only where nobody means another', () => {
    expect(configOf({})).to.deep.include({ brokerList: ['localhost:9092'], mayHostBroker: true });
    expect(configOf({ BROKER_PORT: '9999' })).to.deep.include({ brokerList: ['localhost:9999'], mayHostBroker: true });
    expect(configOf({ BROKER_LIST: 'localhost:9092' }).mayHostBroker).to.equal(false);
    expect(configOf({ KAFKA_SSL: 'true' }).mayHostBroker).to.equal(false);
    const login = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'a', KAFKA_SASL_PASSWORD: 'b' };
    expect(configOf(login).mayHostBroker).to.equal(false);
  });

  it('leave variables alone that are none of theirs', () => {
    expect(configOf({ PATH: '/bin', API_PORTS: 'x', api_port: '1' }).apiPort).to.equal(8082);
  });
});

describe('--help and the documentation', () => {
  it('mention every option with its flag, its variable, what it takes and its default', () => {
    const help = helpText();
    const page = configurationPage();
    for (const [, option] of table) {
      const fallback = option.defaultNote ?? option.default;
      expect(help).to.include(
        `  --${flagOf(option)}, ${option.env}\n      ${option.help}\n      ${option.type.label};`,
      );
      expect(help).to.include(`${option.type.label}; default: ${fallback ?? 'unset'}\n`);
      const row = page.split('\n').find((line) => line.startsWith(`| \`${option.env}\` |`));
      expect(row, option.env)
        .to.include(`--${flagOf(option)}`)
        .and.include(option.type.label)
        .and.include(option.help);
      if (fallback !== undefined) expect(row).to.include(fallback);
    }
  });

  it('make a table of five columns, one line for each option', () => {
    const rows = configurationPage().match(/^\|.*$/gm) ?? [];
    expect(rows).to.have.length(table.length + 2 + Object.keys(brokerOptions).length + 2);
    for (const row of rows) expect(row.split('|')).to.have.length(7);
  });
});
