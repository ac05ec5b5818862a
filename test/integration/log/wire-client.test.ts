import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { BitacoraError } from '../../../src/kernel/errors.ts';
import { asLogError } from '../../../src/log/kafka/errors.ts';
import type { SaslSettings, TlsSettings } from '../../../src/log/kafka-connection.ts';
import { apis } from '../../../src/log/wire/apis.ts';
import { Brokers } from '../../../src/log/wire/brokers.ts';
import { DirectWriter } from '../../../src/log/wire/direct-writer.ts';
import { kafkaErrors } from '../../../src/protocol/errors.ts';
import { hasSoundCrc, readHeader } from '../../../src/protocol/record-batch.ts';
import { noUuid } from '../../../src/protocol/schema.ts';
import { makeCertificate } from '../../support/broker/certificate.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { type Kafka, kafkaName, orSkip, sharedKafka } from '../../support/kafka/kafka.ts';
import { freePort } from '../../support/kafka/ports.ts';
import { createTopic, freshTopicName, produceRaw } from '../../support/kafka/topics.ts';
import { silentLogger } from '../../support/kafka-log.ts';

function brokersOf(brokerList: string, security: { tls?: TlsSettings; sasl?: SaslSettings } = {}): Brokers {
  return new Brokers({
    connection: {
      brokers: brokerList.split(','),
      clientId: 'wire-client-test',
      tls: security.tls,
      sasl: security.sasl,
    },
    clock: systemClock,
    logger: silentLogger,
  });
}

describe(`the wire client: ${kafkaName}`, () => {
  let kafka: Kafka;
  let brokers: Brokers;

  before(async function () {
    kafka = await sharedKafka(this);
    brokers = brokersOf(kafka.brokerList);
  });

  after(() => brokers?.close());

  it('learns which versions of each API are served', async () => {
    const connection = await brokers.any();
    for (const api of Object.values(apis)) expect(connection.version(api), api.request.name).to.be.a('number');
    // Topic ids instead of names, KIP-516.
    expect(connection.version(apis.fetch)).to.be.at.least(13);
  });

  it('learns a topic’s own id, its leaders and their epochs', async () => {
    const [topic, another] = [freshTopicName('wire'), freshTopicName('wire')];
    await createTopic(kafka, topic, { partitions: 3 });
    await createTopic(kafka, another);
    const metadata = await brokers.metadata(topic);
    expect(metadata).to.include({ topic, errorCode: 0 });
    expect(metadata.topicId)
      .to.match(/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/)
      .and.not.equal(noUuid);
    expect(metadata.clusterId).to.be.a('string');
    expect(metadata.partitions.map(({ partition }) => partition)).to.deep.equal([0, 1, 2]);
    for (const { leader, leaderEpoch } of metadata.partitions) {
      expect(leaderEpoch).to.be.at.least(0);
      expect((await brokers.node(leader)).isClosed).to.equal(false);
    }
    expect((await brokers.metadata(another)).topicId).not.to.equal(metadata.topicId);
  });

  it('learns that there is no such topic, and does not create it', async () => {
    const topic = freshTopicName('wire');
    for (let times = 0; times < 2; times += 1) {
      const { errorCode, topicId } = await brokers.metadata(topic);
      expect(errorCode).to.equal(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code);
      expect(topicId).to.equal(undefined);
    }
  });

  it('finds the coordinator of a group', async () => {
    // A broker that has just started takes a moment to create the topic that groups are kept in.
    for (;;) {
      const found = await brokers.coordinator(freshTopicName('group')).catch((error: Error) => error);
      if (typeof found === 'number') return expect((await brokers.node(found)).isClosed).to.equal(false);
      expect(found.message).to.match(/COORDINATOR_(NOT_AVAILABLE|LOAD_IN_PROGRESS)/);
    }
  });

  it('takes an answer of several MiB whole, again and again, and questions meanwhile', async () => {
    const topic = freshTopicName('wire');
    await createTopic(kafka, topic, { config: { 'max.message.bytes': '2000000' } });
    const value = Buffer.alloc(800_000, 'v');
    for (let index = 0; index < 5; index += 1) await produceRaw(kafka, topic, [{ value, partition: 0 }]);
    const { topicId, partitions } = await brokers.metadata(topic);
    const connection = await brokers.node(partitions[0]!.leader, 'fetch');
    for (let times = 0; times < 3; times += 1) {
      const [held] = await Promise.all([
        connection.requestHeld(apis.fetch, {
          maxWaitMs: 500,
          minBytes: 1,
          topics: [{ topicId: topicId!, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 8_000_000 }] }],
        }),
        brokers.metadata(topic),
      ]);
      const records = held.answer.responses[0]!.partitions[0]!.records!;
      const found = [];
      for (let at = 0; at < records.length; ) {
        const header = readHeader(records, at);
        found.push(header.baseOffset);
        at += header.bytes;
      }
      expect(found).to.deep.equal([0, 1, 2, 3, 4]);
      expect(held.bytes).to.be.greaterThan(4_000_000);
      held.release();
    }
  });
});

describe('the wire client: a broker that asks for TLS and a login', () => {
  let broker: EmbeddedBroker;
  let folder: string;
  let secure: string;
  let loginOnly: string;
  let ca: string;
  const made: Brokers[] = [];

  before(async function () {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-wire-'));
    const own = await orSkip(this, makeCertificate(folder, 'broker'));
    ca = await readFile(own.cert, 'utf8');
    const users = join(folder, 'users');
    await writeFile(users, 'alice:open sesame\n');
    await chmod(users, 0o600);
    const [port, securePort, loginPort] = [await freePort(), await freePort(), await freePort()];
    const listeners = [
      `PLAINTEXT://127.0.0.1:${port}`,
      `SASL_SSL://127.0.0.1:${securePort}`,
      `SASL_PLAINTEXT://127.0.0.1:${loginPort}`,
    ];
    broker = await EmbeddedBroker.launch({
      port,
      flags: [
        ...['--listeners', listeners.join(','), '--users-file', users],
        ...['--tls-cert-file', own.cert, '--tls-key-file', own.key],
      ],
    });
    [secure, loginOnly] = [`127.0.0.1:${securePort}`, `127.0.0.1:${loginPort}`];
  });

  after(async () => {
    await broker?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  afterEach(() => {
    for (const brokers of made.splice(0)) brokers.close();
  });

  function dial(brokerList: string, security: { tls?: TlsSettings; sasl?: SaslSettings }): Brokers {
    const brokers = brokersOf(brokerList, security);
    made.push(brokers);
    return brokers;
  }

  async function refusal(attempt: Promise<unknown>): Promise<BitacoraError> {
    try {
      await attempt;
    } catch (error) {
      return asLogError(error, 'to be asked');
    }
    throw new Error('it was let in');
  }

  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
    const login = (password: string): SaslSettings => ({ mechanism, username: 'alice', password });

    it(`is let in by ${mechanism}, over TLS and without`, async () => {
      for (const [address, tls] of [[secure, { ca }] as const, [loginOnly, undefined] as const]) {
        const brokers = dial(address, { ...(tls && { tls }), sasl: login('open sesame') });
        const { clusterId, errorCode } = await brokers.metadata('no-such-topic');
        expect(clusterId).to.be.a('string');
        expect(errorCode).to.equal(kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code);
      }
    });

    it(`tells a refused login by ${mechanism} from a broker that is away`, async () => {
      const error = await refusal(dial(secure, { tls: { ca }, sasl: login('wrong-password') }).any());
      expect(error.code).to.equal('log_rejected');
      expect(error.detail).to.include('Invalid username or password').and.not.include('wrong-password');
    });
  }

  it('sends and takes several MiB over TLS', async () => {
    const topic = freshTopicName('wire');
    await createTopic(broker, topic);
    const sasl: SaslSettings = { mechanism: 'scram-sha-512', username: 'alice', password: 'open sesame' };
    const brokers = dial(secure, { tls: { ca }, sasl });
    const writer = new DirectWriter({ brokers, topic, partition: 0, requestTimeoutMs: 10_000 });
    const value = Buffer.alloc(900_000, 'v');
    for (let index = 0; index < 5; index += 1) {
      const record = { partition: 0, key: Buffer.from(`k${index}`), value, timestampMs: Date.now() };
      expect(await writer.send([record])).to.include({ kind: 'appended', baseOffset: index });
    }
    const { topicId, partitions } = await brokers.metadata(topic);
    const connection = await brokers.node(partitions[0]!.leader, 'fetch');
    const { answer, bytes } = await connection.requestHeld(apis.fetch, {
      maxWaitMs: 500,
      minBytes: 1,
      topics: [{ topicId: topicId!, partitions: [{ partition: 0, partitionMaxBytes: 8_000_000 }] }],
    });
    expect(bytes).to.be.greaterThan(4_500_000);
    const records = answer.responses[0]!.partitions[0]!.records!;
    for (let at = 0; at < records.length; ) {
      const header = readHeader(records, at);
      expect(hasSoundCrc(records, at, header.bytes)).to.equal(true);
      at += header.bytes;
    }
  });

  it('tells a certificate that it does not trust from a broker that is away', async () => {
    const sasl: SaslSettings = { mechanism: 'plain', username: 'alice', password: 'open sesame' };
    const error = await refusal(dial(secure, { tls: {}, sasl }).any());
    expect(error.code).to.equal('log_rejected');
    expect(error.detail).to.include('certificate');
    const away = await refusal(dial(`127.0.0.1:${await freePort()}`, { tls: { ca }, sasl }).any());
    expect(away.code).to.equal('log_unavailable');
  });
});
