import { PassThrough, Readable } from 'node:stream';
import { expect } from 'chai';
import { command, positionals } from '../../../src/cli/command.ts';
import { commands } from '../../../src/cli/commands.ts';
import { dispatch } from '../../../src/cli/dispatch.ts';
import { commandHelp, usageLine } from '../../../src/cli/help.ts';
import { Output } from '../../../src/cli/output.ts';
import { FatalError } from '../../../src/kernel/errors.ts';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly notes: readonly string[];
  readonly started: ReadonlyArray<readonly [program: string, argv: readonly string[]]>;
}

async function run(argv: readonly string[], environment: NodeJS.ProcessEnv = {}, table = commands): Promise<Ran> {
  const stream = new PassThrough();
  const notes: string[] = [];
  const started: [string, readonly string[]][] = [];
  const code = await dispatch(table, argv, {
    environment,
    stdin: Readable.from([]),
    output: new Output(stream),
    note: (line) => void notes.push(line),
    interrupted: () => new AbortController().signal,
    programs: {
      startNode: async (args) => void started.push(['node', args]),
      startBroker: async (args) => void started.push(['broker', args]),
      version: () => '1.2.3',
    },
  });
  return { code, stdout: String(stream.read() ?? ''), notes, started };
}

describe('the command line', () => {
  for (const [argv, handed] of [
    [[], []],
    [['start'], []],
    [
      ['--api-port', '8083', '--help'],
      ['--api-port', '8083', '--help'],
    ],
    [['start', '--help'], ['--help']],
  ] as const) {
    it(`starts a node for "bitacora ${argv.join(' ')}", with what stands behind`, async () => {
      expect((await run(argv)).started).to.deep.equal([['node', handed]]);
    });
  }

  it('starts the broker with all its arguments unread', async () => {
    expect((await run(['broker', '--port', '0', '-h'])).started).to.deep.equal([['broker', ['--port', '0', '-h']]]);
  });

  for (const word of ['--version', '-v']) {
    it(`prints the version for ${word}`, async () => {
      expect(await run([word])).to.deep.include({ code: 0, stdout: '1.2.3\n', started: [] });
    });
  }

  for (const word of ['--help', '-h', 'help']) {
    it(`lists every command for ${word}`, async () => {
      const { code, stdout } = await run([word]);
      expect(code).to.equal(0);
      for (const { path, summary } of commands)
        expect(stdout)
          .to.include(`  ${path.join(' ')}`)
          .and.include(summary);
    });
  }

  it('lists the commands of a group', async () => {
    const { code, stdout } = await run(['topics', '--help']);
    expect(code).to.equal(0);
    expect(stdout).to.include('topics create').and.not.include('groups list');
  });

  for (const each of commands.filter(({ passesOn }) => !passesOn)) {
    const name = each.path.join(' ');
    it(`tells all about ${name}, whatever else is wrong`, async () => {
      const { code, stdout } = await run([...each.path, '--no-such-flag', '--help'], { BROKER_LIST: 'x' });
      expect([code, stdout]).to.deep.equal([0, commandHelp(each)]);
    });

    it(`answers an unknown flag of ${name} with its usage and code 2`, async () => {
      const { code, notes } = await run([...each.path, 'a', '--no-such-flag']);
      expect([code, notes[1]]).to.deep.equal([2, usageLine(each)]);
      expect(notes[0]).to.match(/^bitacora: .*--no-such-flag/);
    });
  }

  const mistakes: ReadonlyArray<[argv: readonly string[], complaint: string | RegExp]> = [
    [['topics'], 'bitacora: topics needs a command: expected create, list, describe, delete, alter'],
    [['topics', 'lits'], 'bitacora: no command "lits": expected create, list, describe, delete, alter'],
    [['tpics'], /^bitacora: no command "tpics": expected start, broker, topics, groups, produce, consume, snapshot$/],
    [['topics', 'create'], 'bitacora: topics create needs NAME...'],
    [['topics', 'alter', 'a'], 'bitacora: topics alter needs --partitions, --config or --delete-config'],
    [['topics', 'alter', 'a', 'b'], 'bitacora: topics alter does not know what to do with "b"'],
    [['topics', 'alter', 'a', '--config', 'x=1', '--delete-config', 'x'], /x is in --config and in --delete-config/],
    [['topics', 'list', '--broker-list', 'nope'], /^bitacora: --broker-list is "nope": expected host:port/],
    [['groups', 'reset-offsets', 'g', '--to', 'latest'], /needs --topic/],
    [['groups', 'reset-offsets', 'g', '--topic', 't'], /needs --to$/],
    [['groups', 'reset-offsets', 'g', '-t', 't:0', '-t', 't:1', '--to', 'latest'], /names t twice/],
    [['produce', 'a', '--key', 'k', '-K', '='], /expected one/],
    [['produce', 'a', '--format', 'json', '--key', 'k'], '--key means nothing with --format json'],
    [['produce', 'a', '--format', 'json', '--whole'], '--whole means nothing with --format json'],
    [['produce', 'a', '--whole', '-K', '='], '--key-separator means nothing with --whole'],
    [['consume', 'a', '--from-beginning', '--offset', '1'], /expected one/],
    [['consume', 'a', '--group', 'g', '--offset', '1'], /--offset means nothing with --group/],
    [['consume', 'a', '--group', 'g', '--partition', '1'], /--partition means nothing with --group/],
    [['consume', 'a', 'b', 'a'], /topic a is named twice/],
  ];
  for (const [argv, complaint] of mistakes) {
    it(`refuses "${argv.join(' ')}" with a line, the usage and code 2`, async () => {
      const { code, notes, stdout } = await run(argv);
      expect([code, stdout]).to.deep.equal([2, '']);
      if (typeof complaint === 'string') expect(notes[0]).to.include(complaint);
      else expect(notes[0]).to.match(complaint);
      expect(notes[1]).to.match(/^Usage: bitacora /);
      expect(notes).to.have.length(2);
    });
  }
});

describe('how a command reaches Kafka', () => {
  async function connectionOf(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<unknown> {
    let seen: unknown;
    const probe = command({
      path: ['probe'],
      summary: 'probes',
      positionals: positionals.none,
      flags: {},
      run: async ({ connection }) => {
        seen = connection;
      },
    });
    const { code, notes } = await run(['probe', ...argv], environment, [probe]);
    return code === 0 ? seen : [code, ...notes];
  }

  it('is localhost:9092 where nothing is said, or the port of the broker here', async () => {
    expect(await connectionOf([], {})).to.deep.include({
      brokers: ['localhost:9092'],
      tls: undefined,
      sasl: undefined,
    });
    expect(await connectionOf([], { BROKER_PORT: '9093' })).to.deep.include({ brokers: ['localhost:9093'] });
  });

  it('comes from the flag before the environment', async () => {
    const environment = { BROKER_LIST: 'a:1,b:2' };
    expect(await connectionOf([], environment)).to.deep.include({ brokers: ['a:1', 'b:2'] });
    expect(await connectionOf(['--broker-list', 'c:3'], environment)).to.deep.include({ brokers: ['c:3'] });
  });

  it('knows TLS and a login as the node does', async () => {
    const environment = {
      KAFKA_SSL: 'true',
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: 'ada',
      KAFKA_SASL_PASSWORD: 'hunter2',
    };
    expect(await connectionOf([], environment)).to.deep.include({
      tls: {},
      sasl: { mechanism: 'plain', username: 'ada', password: 'hunter2' },
    });
    expect(await connectionOf(['--kafka-ssl', 'false'], environment)).to.deep.include({ tls: undefined });
  });

  it('is not hindered by what the environment tells a node', async () => {
    const environment = { API_HOST: '0.0.0.0', KAFKA_TOPIC: 'not a topic', PEERS: 'a:1', ZOOKEEPER_HOST: 'b:2' };
    expect(await connectionOf([], environment)).to.deep.include({ brokers: ['localhost:9092'] });
  });

  it('that cannot be used ends with one line and code 1', async () => {
    expect(await connectionOf([], { BROKER_LIST: 'x' })).to.deep.equal([
      1,
      'bitacora: BROKER_LIST is "x": expected host:port, several separated by commas',
    ]);
    expect(await connectionOf([], { KAFKA_SASL_PASSWORD: 'hunter2' })).to.deep.equal([
      1,
      'bitacora: KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: expected all three or none',
    ]);
  });

  it('is no secret that a complaint shows', async () => {
    const shown = await connectionOf(['--kafka-sasl-password', 'hunter2', '--kafka-sasl-mechanism', 'plain'], {});
    expect(JSON.stringify(shown)).not.to.include('hunter2');
  });
});

describe('a command that fails', () => {
  it('ends with its one line and code 1', async () => {
    const failing = command({
      path: ['fail'],
      summary: 'fails',
      positionals: positionals.none,
      flags: {},
      run: async () => {
        throw new FatalError('the disk is full');
      },
    });
    const { code, notes } = await run(['fail'], {}, [failing]);
    expect([code, notes]).to.deep.equal([1, ['bitacora: the disk is full']]);
  });
});
