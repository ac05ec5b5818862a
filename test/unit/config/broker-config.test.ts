import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type BrokerConfig, readBrokerArguments } from '../../../src/config/broker-config.ts';
import { FatalError } from '../../../src/kernel/errors.ts';

function configOf(argv: readonly string[], environment: Record<string, string> = {}): BrokerConfig {
  const read = readBrokerArguments(argv, environment);
  if (read.kind !== 'run') throw new Error(read.kind);
  return read.config;
}

function complaintOf(argv: readonly string[], environment: Record<string, string> = {}): string {
  try {
    configOf(argv, environment);
  } catch (error) {
    expect(error).to.be.instanceOf(FatalError);
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
}

describe('the arguments of bitacora broker', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bitacora-config-'));
  });

  after(() => rmSync(folder, { recursive: true }));

  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it('mean both loopback addresses, and 127.0.0.1 for clients, where nothing is said', () => {
    expect(configOf([]).listeners).to.deep.equal([
      {
        protocol: 'PLAINTEXT',
        hosts: ['127.0.0.1', '::1'],
        port: 9092,
        advertisedHost: '127.0.0.1',
        advertisedPort: undefined,
      },
    ]);
    expect(configOf(['--port', '0']).listeners[0]?.port).to.equal(0);
    expect(configOf([], { BROKER_PORT: '19092' }).listeners[0]?.port).to.equal(19_092);
  });

  it('take several listeners, each with an address for clients', () => {
    const listeners = 'PLAINTEXT://localhost:9092, PLAINTEXT://[::]:9093';
    expect(
      configOf(['--listeners', listeners, '--advertise', '127.0.0.1,broker.example:19093']).listeners,
    ).to.deep.equal([
      {
        protocol: 'PLAINTEXT',
        hosts: ['127.0.0.1', '::1'],
        port: 9092,
        advertisedHost: '127.0.0.1',
        advertisedPort: undefined,
      },
      { protocol: 'PLAINTEXT', hosts: ['::'], port: 9093, advertisedHost: 'broker.example', advertisedPort: 19_093 },
    ]);
  });

  for (const listeners of [
    'localhost:9092',
    'HTTP://localhost:9092',
    'PLAINTEXT://a b:9092',
    'PLAINTEXT://a:65536',
    'PLAINTEXT://a',
  ]) {
    it(`refuse the listener ${listeners}`, () => {
      expect(complaintOf(['--listeners', listeners])).to.match(/^--listeners is .*: expected PROTOCOL:\/\/host:port/);
    });
  }

  it('refuse a wildcard address without one that clients can dial', () => {
    expect(complaintOf(['--listeners', 'PLAINTEXT://0.0.0.0:9092'])).to.match(/set BROKER_ADVERTISE$/);
  });

  it('refuse as many addresses for clients as there are no listeners for', () => {
    expect(complaintOf(['--advertise', 'a,b'])).to.equal(
      'BROKER_ADVERTISE names 2 addresses for 1 listeners: give one for each',
    );
  });

  it('read TLS material and users from the files they name', () => {
    const config = configOf(['--listeners', 'SASL_SSL://localhost:9092'], {
      BROKER_TLS_CERT_FILE: file('cert.pem', 'CERT'),
      BROKER_TLS_KEY_FILE: file('key.pem', 'KEY'),
      BROKER_USERS_FILE: file('users', '# people\nalice:open:sesame\r\n\nbob:x\n'),
    });
    expect(config.tls).to.deep.equal({ cert: 'CERT', key: 'KEY', clientCa: undefined });
    expect(config.users).to.deep.equal({ alice: 'open:sesame', bob: 'x' });
  });

  it('refuse listeners that need files which nobody names', () => {
    expect(complaintOf(['--listeners', 'SSL://localhost:9092'])).to.match(
      /set BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE$/,
    );
    expect(complaintOf(['--listeners', 'SASL_PLAINTEXT://localhost:9092'])).to.match(/set BROKER_USERS_FILE$/);
    expect(complaintOf([], { BROKER_TLS_CERT_FILE: file('cert.pem', 'CERT') })).to.match(/expected both$/);
  });

  it('do not show a password when they complain of its line', () => {
    const users = file('users', 'alice:x\nopen sesame\n');
    const complaint = complaintOf(['--listeners', 'SASL_PLAINTEXT://localhost:9092'], { BROKER_USERS_FILE: users });
    expect(complaint).to.match(/, line 2: expected user:password$/);
    expect(complaint).not.to.include('sesame');
  });
});
