import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { complaintOf, configOf } from '../../support/arguments.ts';

describe('API_HOST and ALLOW_ANONYMOUS', () => {
  for (const host of ['127.0.0.1', '127.8.4.2', 'localhost', '::1']) {
    it(`listens on ${host} without further ado`, () => {
      expect(configOf({ API_HOST: host }).apiHost).to.equal(host);
    });
  }

  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'fd00::1', 'node.example', 'localhost.example', '128.0.0.1']) {
    it(`does not listen on ${host} unless ALLOW_ANONYMOUS says so`, () => {
      const complaint = complaintOf({ API_HOST: host });
      expect(complaint).to.include(`API_HOST is "${host}"`).and.include('ALLOW_ANONYMOUS=true');
      expect(complaintOf({ API_HOST: host, ALLOW_ANONYMOUS: 'false' })).to.equal(complaint);
      expect(configOf({ API_HOST: host, ALLOW_ANONYMOUS: 'true' }).apiHost).to.equal(host);
    });
  }
});

describe('NODENAME', () => {
  it('is API_HOST where nothing is said', () => {
    expect(configOf({}).nodename).to.equal('127.0.0.1');
    expect(configOf({ API_HOST: 'node.example', ALLOW_ANONYMOUS: 'true' }).nodename).to.equal('node.example');
  });

  for (const host of ['0.0.0.0', '::']) {
    it(`is the host's name where API_HOST is ${host}, which no other node could call`, () => {
      expect(configOf({ API_HOST: host, ALLOW_ANONYMOUS: 'true' }).nodename).to.equal(hostname());
    });
  }

  it('is what it says', () => {
    expect(configOf({ API_HOST: '::', ALLOW_ANONYMOUS: 'true', NODENAME: 'n1' }).nodename).to.equal('n1');
  });

  it('names one node however it is written', () => {
    expect(configOf({ NODENAME: 'Node-A.Example' }).nodeId).to.equal('node-a.example:8082');
    expect(configOf({ NODENAME: 'FD00:0::1' }).nodeId).to.equal('[fd00::1]:8082');
  });

  it('names the node together with API_PORT, in brackets where it is an IPv6 address', () => {
    expect(configOf({ NODENAME: 'n1' }).nodeId).to.equal('n1:8082');
    expect(configOf({ NODENAME: '10.0.0.1', API_PORT: '80' }).nodeId).to.equal('10.0.0.1:80');
    expect(configOf({ NODENAME: 'fd00::1' }).nodeId).to.equal('[fd00::1]:8082');
    expect(configOf({ API_HOST: '::1', API_PORT: '1' }).nodeId).to.equal('[::1]:1');
    for (const nodename of ['n1', 'fd00::1', '::1', '10.0.0.1']) {
      const { nodeId } = configOf({ NODENAME: nodename });
      expect(new URL(`http://${nodeId}/`).host).to.equal(nodeId);
    }
  });
});

describe('AVRO_PORT', () => {
  it('is 100 above API_PORT where nothing is said', () => {
    expect(configOf({}).avroPort).to.equal(8182);
    expect(configOf({ API_PORT: '8083' }).avroPort).to.equal(8183);
    expect(configOf({ API_PORT: '8083', AVRO_PORT: '9000' }).avroPort).to.equal(9000);
  });

  it('is asked for where there is no such port, or API_PORT has it', () => {
    expect(complaintOf({ API_PORT: '65436' }))
      .to.include('API_PORT is 65436')
      .and.include('set AVRO_PORT');
    expect(configOf({ API_PORT: '65436', AVRO_PORT: '1' }).avroPort).to.equal(1);
    expect(complaintOf({ API_PORT: '8083', AVRO_PORT: '8083' })).to.include('each needs its own');
  });

  it('names the socket together with NODENAME, in brackets where it is an IPv6 address', () => {
    expect(configOf({ NODENAME: 'Node-A' }).avroSocket).to.equal('node-a:8182');
    expect(configOf({ NODENAME: 'fd00::1', AVRO_PORT: '80' }).avroSocket).to.equal('[fd00::1]:80');
  });
});

describe('KAFKA_TOPIC', () => {
  it('is not the topic through which the nodes of another database find each other', () => {
    const complaint = complaintOf({ KAFKA_TOPIC: 'prices-members' });
    expect(complaint).to.include('KAFKA_TOPIC is "prices-members"').and.to.include('a database "prices"');
    expect(complaint).to.include('PEERS or ZOOKEEPER_HOST');
  });

  it('may have such a name where nodes find each other otherwise', () => {
    for (const way of [{ PEERS: 'a:1' }, { ZOOKEEPER_HOST: 'z:2181' }]) {
      expect(configOf({ KAFKA_TOPIC: 'prices-members', ...way }).kafkaTopic).to.equal('prices-members');
    }
  });
});

describe('KAFKA_SSL', () => {
  let folder: string;
  const names = ['KAFKA_SSL_CA_FILE', 'KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE'] as const;
  const file = (name: string): string => join(folder, name);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bitacora-config-'));
    for (const name of ['ca', 'cert', 'key']) writeFileSync(file(name), `the ${name}\n`);
  });

  after(() => rmSync(folder, { recursive: true }));

  it('is off by default', () => {
    expect(configOf({}).kafkaTls).to.equal(undefined);
    expect(configOf({ KAFKA_SSL: 'false' }).kafkaTls).to.equal(undefined);
  });

  it('trusts what Node.js trusts, until it is told otherwise', () => {
    expect(configOf({ KAFKA_SSL: 'true' }).kafkaTls).to.deep.equal({});
  });

  it('reads what the files hold', () => {
    const environment = {
      KAFKA_SSL: 'true',
      KAFKA_SSL_CA_FILE: file('ca'),
      KAFKA_SSL_CERT_FILE: file('cert'),
      KAFKA_SSL_KEY_FILE: file('key'),
    };
    expect(configOf(environment).kafkaTls).to.deep.equal({ ca: 'the ca\n', cert: 'the cert\n', key: 'the key\n' });
    const { kafkaTls } = configOf({ KAFKA_SSL: 'true', KAFKA_SSL_CA_FILE: file('ca') });
    expect(kafkaTls).to.deep.equal({ ca: 'the ca\n' });
  });

  for (const name of names) {
    it(`has to be true for ${name}, which would be passed over without a word`, () => {
      expect(complaintOf({ [name]: file('ca') })).to.equal(`${name} is set, but KAFKA_SSL is not true`);
      expect(complaintOf({ [name]: file('ca'), KAFKA_SSL: 'false' })).to.include(name);
    });

    it(`says which file it cannot read for ${name}`, () => {
      for (const path of [file('absent'), folder]) {
        const complaint = complaintOf({ KAFKA_SSL: 'true', [name]: path });
        expect(complaint).to.include(`${name} is "${path}": expected a readable file (`);
      }
    });
  }

  it('takes a certificate and its key together or not at all', () => {
    for (const name of ['KAFKA_SSL_CERT_FILE', 'KAFKA_SSL_KEY_FILE']) {
      const complaint = complaintOf({ KAFKA_SSL: 'true', [name]: file('cert') });
      expect(complaint).to.equal('KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE: expected both or neither');
    }
  });

  it('never says what stands in a key', () => {
    writeFileSync(file('key'), 'hunter2');
    const complaint = complaintOf({ KAFKA_SSL: 'true', KAFKA_SSL_KEY_FILE: file('key') });
    expect(complaint).not.to.include('hunter2');
  });
});

describe('KAFKA_SASL', () => {
  const all = {
    KAFKA_SASL_MECHANISM: 'scram-sha-256',
    KAFKA_SASL_USERNAME: 'ada',
    KAFKA_SASL_PASSWORD: 'hunter2 with spaces',
  } as const;

  it('is off by default', () => {
    expect(configOf({}).kafkaSasl).to.equal(undefined);
  });

  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
    it(`logs in by ${mechanism}`, () => {
      expect(configOf({ ...all, KAFKA_SASL_MECHANISM: mechanism }).kafkaSasl).to.deep.equal({
        mechanism,
        username: 'ada',
        password: 'hunter2 with spaces',
      });
    });
  }

  for (const missing of Object.keys(all)) {
    for (const value of [undefined, '']) {
      it(`takes all three or none: not without ${missing} (${value === '' ? 'empty' : 'unset'})`, () => {
        const complaint = complaintOf({ ...all, [missing]: value });
        expect(complaint).to.equal(
          'KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: expected all three or none',
        );
      });
    }
  }

  it('never shows the password, whatever is wrong', () => {
    const wrong = [
      { ...all, KAFKA_SASL_USERNAME: '' },
      { ...all, KAFKA_SASL_MECHANISM: 'md5' },
      { ...all, API_PORT: 'x' },
    ];
    for (const environment of wrong) expect(complaintOf(environment)).not.to.include('hunter2');
    const flags = ['--kafka-sasl-password', 'hunter2'];
    expect(complaintOf({}, flags)).not.to.include('hunter2');
    expect(complaintOf({}, ['--kafka-sasl-pasword=hunter2'])).not.to.include('hunter2');
    expect(complaintOf({}, ['--kafka-sasl-password='])).to.equal(
      '--kafka-sasl-password is (hidden): expected non-empty text',
    );
  });
});
