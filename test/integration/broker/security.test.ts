import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { expect } from 'chai';
import { type Kafka, KafkaJSSASLAuthenticationError, type SASLOptions } from 'kafkajs';
import { makeCertificate } from '../../support/broker/certificate.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { orSkip } from '../../support/kafka/kafka.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

describe('an embedded broker that asks for TLS and a login', () => {
  let broker: EmbeddedBroker;
  let folder: string;
  let securePort: number;
  let plainPort: number;
  let own: { cert: string; key: string };
  let ca: string;

  before(async function () {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-tls-'));
    own = await orSkip(this, makeCertificate(folder, 'broker'));
    ca = await readFile(own.cert, 'utf8');
    const users = join(folder, 'users');
    await writeFile(users, 'alice:open sesame\nbob:x=y,z\n');
    await chmod(users, 0o600);
    const port = await freePort();
    securePort = await freePort();
    plainPort = await freePort();
    const listeners = [
      `PLAINTEXT://127.0.0.1:${port}`,
      `SASL_SSL://127.0.0.1:${securePort}`,
      `SASL_PLAINTEXT://127.0.0.1:${plainPort}`,
    ];
    broker = await EmbeddedBroker.launch({
      port,
      flags: [
        ...['--listeners', listeners.join(','), '--users-file', users],
        ...['--tls-cert-file', own.cert, '--tls-key-file', own.key],
      ],
    });
  });

  after(async () => {
    await broker?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const client = (sasl: SASLOptions): Kafka =>
    kafkajsClient(
      { brokerList: `127.0.0.1:${securePort}` },
      { ssl: { ca }, sasl, retry: { retries: 0 }, requestTimeout: 5_000 },
    );

  async function roundTrip(kafka: Kafka): Promise<void> {
    const topic = freshTopicName('secure');
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic }] });
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic, messages: [{ value: 'secret' }] });
    await producer.disconnect();
    expect(await admin.fetchTopicOffsets(topic)).to.deep.include({ partition: 0, offset: '1', high: '1', low: '0' });
    await admin.disconnect();
  }

  async function failureOf(kafka: Kafka): Promise<unknown> {
    const admin = kafka.admin();
    try {
      await admin.connect();
    } catch (error) {
      return error;
    } finally {
      await admin.disconnect();
    }
    throw new Error('it was let in');
  }

  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
    const login = (username: string, password: string) => ({ mechanism, username, password }) as SASLOptions;

    it(`lets in who has the right password by ${mechanism}`, async () => {
      await roundTrip(client(login('alice', 'open sesame')));
      await roundTrip(client(login('bob', 'x=y,z')));
    });

    it(`refuses a wrong password and an unknown user by ${mechanism}, with the same words`, async () => {
      const wrong = await failureOf(client(login('alice', 'open')));
      const unknown = await failureOf(client(login('eve', 'open sesame')));
      for (const failure of [wrong, unknown]) {
        expect(failure).to.be.instanceOf(KafkaJSSASLAuthenticationError);
      }
      expect((wrong as Error).message).to.equal((unknown as Error).message);
    });
  }

  it('ends a connection that asks for anything before the login', async () => {
    const socket = connect({ host: '127.0.0.1', port: securePort, ca });
    await once(socket, 'secureConnect');
    // Metadata, version 0, of all topics.
    socket.write(Buffer.from('0000000e0003000000000001000000000000', 'hex'));
    socket.resume();
    await once(socket, 'close');
    expect(socket.bytesRead).to.equal(0);
  });

  it('serves a node, and one with a wrong password ends with one line that does not show it', async () => {
    const secure = {
      BROKER_LIST: `127.0.0.1:${securePort}`,
      KAFKA_TOPIC: freshTopicName('secure-node'),
      KAFKA_SSL: 'true',
      KAFKA_SSL_CA_FILE: own.cert,
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: 'alice',
    };
    const node = await NodeProcess.start({ ...secure, KAFKA_SASL_PASSWORD: 'open sesame' });
    try {
      await node.ready();
      expect((await node.fetch('/rpc?key=a&value=1', { method: 'POST' })).status).to.equal(200);
    } finally {
      await node.kill();
    }
    const refused = await NodeProcess.start({ ...secure, KAFKA_SASL_PASSWORD: 'wrong-password' });
    try {
      expect(await refused.exited).to.equal(1);
      expect(refused.output.match(/^bitacora: Kafka refused /gm)).to.have.length(1);
      expect(refused.output).not.to.include('wrong-password');
    } finally {
      await refused.kill();
    }
  });

  it('takes a login without TLS where its listener is so', async () => {
    await roundTrip(
      kafkajsClient(
        { brokerList: `127.0.0.1:${plainPort}` },
        { sasl: { mechanism: 'plain', username: 'alice', password: 'open sesame' }, retry: { retries: 0 } },
      ),
    );
  });
});
