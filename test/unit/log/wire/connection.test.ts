import type { Socket } from 'node:net';
import { expect } from 'chai';
import { writeResponse } from '../../../../src/broker/server/frames.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { WireClientError, type WireClientErrorKind } from '../../../../src/log/wire/client-error.ts';
import { BrokerConnection, type ConnectionOptions } from '../../../../src/log/wire/connection.ts';
import { kafkaErrors } from '../../../../src/protocol/errors.ts';
import { FakeClock, settled } from '../../../support/fake-clock.ts';
import { ScriptedBroker } from '../../../support/wire/scripted-broker.ts';

const options: ConnectionOptions = {
  clientId: 'test',
  tls: undefined,
  sasl: undefined,
  clock: systemClock,
  connectTimeoutMs: 10_000,
  loginTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  answerBytesMax: 1_000_000,
};
const metadata = { topics: [{ name: 't' }], allowAutoTopicCreation: false };

async function failureOf(attempt: Promise<unknown>): Promise<WireClientError> {
  try {
    await attempt;
  } catch (error) {
    expect(error).to.be.instanceOf(WireClientError);
    return error as WireClientError;
  }
  throw new Error('it did not fail');
}

describe('a connection to a broker', () => {
  let broker: ScriptedBroker;
  const connections: BrokerConnection[] = [];

  beforeEach(async () => {
    broker = await ScriptedBroker.start();
  });

  afterEach(async () => {
    for (const connection of connections.splice(0)) connection.close();
    await broker.stop();
  });

  async function open(changes: Partial<ConnectionOptions> = {}): Promise<BrokerConnection> {
    const connection = await BrokerConnection.open(broker.address, { ...options, ...changes });
    connections.push(connection);
    return connection;
  }

  /** From now on each request is answered with these bytes, or whatever else is done to the socket. */
  function answerWith(act: (socket: Socket, correlationId: number) => void): void {
    broker.onBytes = (socket, bytes) => act(socket, bytes.readInt32BE(8));
  }

  const framed = (correlationId: number, body: Buffer): Buffer => {
    const head = Buffer.alloc(8);
    head.writeInt32BE(4 + body.length, 0);
    head.writeInt32BE(correlationId, 4);
    return Buffer.concat([head, body]);
  };

  it('asks in the highest version that both know, and says who asks', async () => {
    broker.on(apis.metadata, () => ({ clusterId: 'c' }));
    const connection = await open();
    expect((await connection.request(apis.metadata, metadata)).clusterId).to.equal('c');
    expect(broker.requests.map(({ api, version }) => [api.request.name, version])).to.deep.equal([
      ['ApiVersionsRequest', 3],
      ['MetadataRequest', 12],
    ]);
    expect(broker.requests.every(({ clientId }) => clientId === 'test')).to.equal(true);
    expect(broker.asked(apis.apiVersions)[0]).to.deep.include({ clientSoftwareName: 'bitacora' });
  });

  it('asks in an older version where the broker has no later one, or the asker wants none', async () => {
    broker.served = broker.served.map((each) => ({ ...each, maxVersion: Math.min(each.maxVersion, 7) }));
    broker.on(apis.metadata, () => ({}));
    const connection = await open();
    await connection.request(apis.metadata, metadata);
    await connection.request(apis.metadata, metadata, { versionMax: 5 });
    expect(broker.requests.slice(1).map(({ version }) => version)).to.deep.equal([7, 5]);
  });

  it('finds out what a broker serves that does not know the question in this version', async () => {
    broker.on(apis.apiVersions, ({ version }) =>
      version === 0
        ? { errorCode: 0, apiKeys: broker.served }
        : { errorCode: kafkaErrors.UNSUPPORTED_VERSION.code, apiKeys: [] },
    );
    // Such a broker answers in version 0, whatever the version of the question.
    broker.onBytes = (socket, bytes) => {
      broker.onBytes = undefined;
      socket.write(framed(bytes.readInt32BE(8), Buffer.from([0, kafkaErrors.UNSUPPORTED_VERSION.code, 0, 0, 0, 0])));
    };
    const connection = await open();
    expect(connection.version(apis.produce)).to.equal(11);
    expect(broker.requests.map(({ version }) => version)).to.deep.equal([0]);
  });

  it('says of a request that the broker serves in no known version that it was not written', async () => {
    broker.served = broker.served.filter(({ apiKey }) => apiKey !== apis.produce.request.apiKey);
    const connection = await open();
    expect(connection.version(apis.produce)).to.equal(undefined);
    const before = connection.written;
    const failure = await failureOf(connection.request(apis.produce, { acks: -1, timeoutMs: 1, topicData: [] }));
    expect(failure).to.include({ kind: 'unsupported', wasWritten: false });
    expect(connection.written).to.equal(before);
    expect(connection.isClosed).to.equal(false);
  });

  it('takes requests that do not wait for one another, and gives each its own answer', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    broker.on(apis.metadata, async ({ correlationId }) => {
      await held;
      return { clusterId: String(correlationId) };
    });
    const connection = await open();
    const asked = Array.from({ length: 20 }, () => connection.request(apis.metadata, metadata));
    expect(connection.written).to.equal(21);
    release();
    const answers = (await Promise.all(asked)).map(({ clusterId }) => Number(clusterId));
    expect(answers).to.deep.equal(Array.from({ length: 20 }, (_, index) => index + 2));
  });

  it('takes large answers, each in memory that is used again once it is released', async () => {
    const records = Buffer.alloc(300_000, 'r');
    broker.on(apis.fetch, ({ body }) => ({
      responses: [{ topicId: body.topics[0]!.topicId, partitions: [{ partitionIndex: 0, records }] }],
    }));
    const connection = await open();
    const fetch = () => connection.requestHeld(apis.fetch, { topics: [{ partitions: [] }] });
    const recordsOf = ({ answer }: Awaited<ReturnType<typeof fetch>>) => answer.responses[0]!.partitions[0]!.records!;
    const [first, second] = [await fetch(), await fetch()];
    expect(recordsOf(first).equals(records)).to.equal(true);
    expect(recordsOf(second).buffer).not.to.equal(recordsOf(first).buffer);
    first.release();
    first.release();
    // What is small has memory of its own, and takes no large one's place.
    broker.on(apis.metadata, () => ({}));
    for (let times = 0; times < 3; times += 1) (await connection.requestHeld(apis.metadata, metadata)).release();
    const [third, fourth] = [await fetch(), await fetch()];
    expect(recordsOf(third).buffer).to.equal(recordsOf(first).buffer);
    expect(recordsOf(fourth).buffer).not.to.equal(recordsOf(first).buffer);
    expect(recordsOf(third).equals(records)).to.equal(true);
  });

  it('tells that nobody listens', async () => {
    const { port } = broker;
    await broker.stop();
    const failure = await failureOf(BrokerConnection.open({ host: '127.0.0.1', port }, options));
    expect(failure).to.include({ kind: 'unreachable', wasWritten: false });
    expect(failure.message).to.include(`127.0.0.1:${port}`);
    broker = await ScriptedBroker.start();
  });

  it('gives up a broker that takes the connection and says nothing', async () => {
    broker.onBytes = () => undefined;
    const failure = await failureOf(open({ loginTimeoutMs: 50 }));
    expect(failure.kind).to.equal('timed-out');
  });

  const faults: Record<string, { act: (socket: Socket, id: number) => void; kind: WireClientErrorKind }> = {
    'another request’s answer': {
      act: (socket, id) => {
        const header = { version: 12, correlationId: id + 1 };
        for (const part of writeResponse(apis.metadata.response, {}, header)) socket.write(part);
      },
      kind: 'malformed',
    },
    'an answer that is cut off within its fields': {
      act: (socket, id) => socket.write(framed(id, Buffer.from([0, 0, 0, 0, 0, 5]))),
      kind: 'malformed',
    },
    'an answer with bytes left over': {
      act: (socket, id) => socket.write(framed(id, Buffer.alloc(1_000))),
      kind: 'malformed',
    },
    'an answer without even a correlation id': {
      act: (socket) => socket.write(Buffer.from([0, 0, 0, 2, 0, 0])),
      kind: 'malformed',
    },
    'a length over the limit': {
      act: (socket) => socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1])),
      kind: 'malformed',
    },
    'a negative length': { act: (socket) => socket.write(Buffer.alloc(8, 0xff)), kind: 'malformed' },
    'another protocol’s words': {
      act: (socket) => socket.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
      kind: 'malformed',
    },
    'an answer that nobody asked for': {
      act: (socket, id) => socket.write(framed(id - 1, Buffer.alloc(10))),
      kind: 'malformed',
    },
    'the end of the connection in the middle of an answer': {
      act: (socket) => socket.end(Buffer.from([0, 0, 0, 100, 0, 0, 0, 1, 9, 9, 9])),
      kind: 'closed',
    },
    'a reset': { act: (socket) => socket.resetAndDestroy(), kind: 'closed' },
  };
  for (const [what, { act, kind }] of Object.entries(faults)) {
    it(`is over after ${what}, for all that wait: whether they were carried out is not known`, async () => {
      const connection = await open();
      answerWith(act);
      const failures = await Promise.all([
        failureOf(connection.request(apis.metadata, metadata)),
        failureOf(connection.request(apis.metadata, metadata)),
      ]);
      for (const failure of failures) expect(failure).to.include({ kind, wasWritten: true });
      expect(connection.isClosed).to.equal(true);
      const later = await failureOf(connection.request(apis.metadata, metadata));
      expect(later).to.include({ kind: 'closed', wasWritten: false });
      expect(connection.written).to.equal(3);
    });
  }

  it('is over after a request that was not answered in time, because a late answer would be taken for the next', async () => {
    const connection = await open();
    const patient = failureOf(connection.request(apis.metadata, metadata));
    const failure = await failureOf(connection.request(apis.metadata, metadata, { timeoutMs: 30 }));
    expect(failure).to.include({ kind: 'timed-out', wasWritten: true });
    expect((await patient).kind).to.equal('timed-out');
    expect(connection.isClosed).to.equal(true);
  });

  it('waits for a large answer as long as some of it arrives within the time, and no longer', async () => {
    let reads = 0;
    class ReadClock extends FakeClock {
      override monotonicMs(): number {
        reads += 1;
        return super.monotonicMs();
      }
    }
    const clock = new ReadClock();
    const connection = await open({ clock });
    let socket: Socket | undefined;
    let answer = Buffer.alloc(0);
    answerWith((from, correlationId) => {
      socket = from;
      const body = Buffer.alloc(1_000);
      answer = Buffer.concat(
        writeResponse(apis.metadata.response, { clusterId: `${body}` }, { version: 12, correlationId }),
      );
    });
    const timeoutMs = 1_000;
    const arrives = async (bytes: Buffer): Promise<void> => {
      const before = reads;
      socket!.write(bytes);
      while (reads === before) await settled();
    };
    const ask = () => {
      socket = undefined;
      return connection.request(apis.metadata, metadata, { timeoutMs, isLarge: true });
    };
    const first = ask();
    while (socket === undefined) await settled();
    for (let at = 0; at < answer.length; at += 300) {
      await clock.pass(700);
      await arrives(answer.subarray(at, at + 300));
    }
    expect((await first).clusterId).to.have.length(1_000);

    const second = failureOf(ask());
    while (socket === undefined) await settled();
    await arrives(answer.subarray(0, 300));
    await clock.pass(1_000);
    expect((await second).kind).to.equal('timed-out');
    expect(clock.pending).to.equal(0);
  });

  it('is over when the broker ends it, though nobody waits for an answer', async () => {
    const connection = await open();
    broker.hangUp();
    while (!connection.isClosed) await new Promise((resolve) => setImmediate(resolve));
    expect((await failureOf(connection.request(apis.metadata, metadata))).wasWritten).to.equal(false);
  });

  it('answers what waits before it ends, when it is told to end once idle', async () => {
    broker.on(apis.metadata, () => ({ clusterId: 'c' }));
    const connection = await open();
    const asked = connection.request(apis.metadata, metadata);
    connection.closeWhenIdle();
    expect(connection.isFresh).to.equal(false);
    expect((await asked).clusterId).to.equal('c');
    expect(connection.isClosed).to.equal(true);
  });

  describe('with a login', () => {
    const sasl = { mechanism: 'plain', username: 'alice', password: 'open sesame' } as const;

    it('takes the words of a broker that refuses it', async () => {
      broker.on(apis.saslHandshake, () => ({ errorCode: 0, mechanisms: ['PLAIN'] }));
      broker.on(apis.saslAuthenticate, () => ({
        errorCode: kafkaErrors.SASL_AUTHENTICATION_FAILED.code,
        errorMessage: 'Authentication failed: Invalid username or password',
      }));
      const failure = await failureOf(open({ sasl }));
      expect(failure.kind).to.equal('login-refused');
      expect(failure.message).to.include('Invalid username or password').and.not.include(sasl.password);
    });

    it('names the mechanisms that a broker takes that does not take this one', async () => {
      broker.on(apis.saslHandshake, () => ({
        errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM.code,
        mechanisms: ['GSSAPI', 'SCRAM-SHA-256'],
      }));
      const failure = await failureOf(open({ sasl }));
      expect(failure.kind).to.equal('login-refused');
      expect(failure.message).to.include('GSSAPI, SCRAM-SHA-256').and.include('PLAIN');
    });

    it('takes a broker that cannot tell yet who may log in for one that cannot be reached', async () => {
      broker.on(apis.saslHandshake, () => ({ errorCode: 0, mechanisms: ['PLAIN'] }));
      broker.on(apis.saslAuthenticate, () => ({ errorCode: kafkaErrors.KAFKA_STORAGE_ERROR.code, errorMessage: null }));
      expect((await failureOf(open({ sasl }))).kind).to.equal('unreachable');
    });

    it('is not used for new requests when most of the login’s lifetime is over', async () => {
      broker.on(apis.saslHandshake, () => ({ errorCode: 0, mechanisms: ['PLAIN'] }));
      broker.on(apis.saslAuthenticate, () => ({ errorMessage: null, sessionLifetimeMs: 1_000_000 }));
      let nowMs = 0;
      const clock = { ...systemClock, monotonicMs: () => nowMs };
      const connection = await open({ sasl, clock });
      nowMs = 849_000;
      expect(connection.isFresh).to.equal(true);
      nowMs = 851_000;
      expect(connection.isFresh).to.equal(false);
      expect(connection.isClosed).to.equal(false);
    });
  });

  it('refuses a certificate that cannot be read as it refuses a login', async () => {
    const failure = await failureOf(open({ tls: { ca: 'nonsense', cert: 'nonsense', key: 'nonsense' } }));
    expect(failure.kind).to.equal('login-refused');
  });

  it('takes a broker that does not speak TLS for one that refuses it', async () => {
    broker.onBytes = (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    expect((await failureOf(open({ tls: {} }))).kind).to.equal('login-refused');
  });
});
