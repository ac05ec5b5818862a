import { expect } from 'chai';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import type { SendOutcome } from '../../../../src/log/group-commit.ts';
import type { AppendRecord } from '../../../../src/log/log.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { Brokers } from '../../../../src/log/wire/brokers.ts';
import { DirectWriter, sequenceAfter } from '../../../../src/log/wire/direct-writer.ts';
import { type KafkaErrorName, kafkaErrors } from '../../../../src/protocol/errors.ts';
import { hasSoundCrc, readHeader, walkRecords } from '../../../../src/protocol/record-batch.ts';
import { ScriptedBroker } from '../../../support/wire/scripted-broker.ts';

const topic = 't';
const record = (key: string, value: string | null = 'v'): AppendRecord => ({
  partition: 3,
  key: Buffer.from(key),
  value: value === null ? null : Buffer.from(value),
  timestampMs: 1_700_000_000_000,
});
const kindOf = (outcome: SendOutcome): string => (outcome.kind === 'rejected' ? outcome.retry : outcome.kind);

/** As one batch was written. */
interface Written {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly keys: readonly string[];
}

describe('the direct writer', () => {
  let first: ScriptedBroker;
  let second: ScriptedBroker;
  let brokers: Brokers;
  let writer: DirectWriter;
  let leader: number;
  let producers: number;

  beforeEach(async () => {
    [first, second] = [await ScriptedBroker.start(), await ScriptedBroker.start()];
    [leader, producers] = [1, 0];
    for (const broker of [first, second]) {
      broker.on(apis.metadata, () => ({
        brokers: [
          { nodeId: 1, ...first.address },
          { nodeId: 2, ...second.address },
        ],
        topics: [{ name: topic, partitions: [{ partitionIndex: 3, leaderId: leader }] }],
      }));
      broker.on(apis.initProducerId, () => {
        producers += 1;
        return { producerId: 1_000 + producers, producerEpoch: 0 };
      });
      answer(broker, { baseOffset: 40 });
    }
    const connection = {
      brokers: [first.hostPort, second.hostPort],
      clientId: 'test',
      tls: undefined,
      sasl: undefined,
    };
    brokers = new Brokers({ connection, clock: systemClock, logger: createLogger('silent', { terminal: false }) });
    writer = new DirectWriter({ brokers, topic, partition: 3, requestTimeoutMs: 10_000 });
  });

  afterEach(async () => {
    brokers.close();
    await Promise.all([first.stop(), second.stop()]);
  });

  function answer(
    broker: ScriptedBroker,
    given: {
      error?: KafkaErrorName;
      code?: number;
      baseOffset?: number;
      logAppendTimeMs?: number;
      errorMessage?: string;
    },
  ): void {
    const { error = 'NONE', code = kafkaErrors[error].code, ...rest } = given;
    broker.on(apis.produce, () => ({
      responses: [{ name: topic, partitionResponses: [{ index: 3, errorCode: code, baseOffset: -1, ...rest }] }],
    }));
  }

  function writtenTo(broker: ScriptedBroker): Written[] {
    return broker.asked(apis.produce).map(({ acks, topicData }) => {
      expect(acks).to.equal(-1);
      const [{ name, partitionData }] = topicData as [(typeof topicData)[0]];
      const [{ index, records }] = partitionData as [(typeof partitionData)[0]];
      expect([name, index, topicData.length, partitionData.length]).to.deep.equal([topic, 3, 1, 1]);
      const { bytes, producerId, producerEpoch, baseSequence, count } = readHeader(records!);
      expect(bytes).to.equal(records!.length);
      expect(hasSoundCrc(records!, 0, bytes)).to.equal(true);
      const keys: string[] = [];
      const body = records!.subarray(61);
      walkRecords(body, count, ({ keyStart, keyLength }) =>
        keys.push(body.toString('utf8', keyStart, keyStart + keyLength)),
      );
      return { producerId, producerEpoch, baseSequence, keys };
    });
  }

  it('writes batch after batch under one identity, each with the sequence that follows', async () => {
    expect(await writer.send([record('a'), record('b', null)])).to.deep.equal({
      kind: 'appended',
      baseOffset: 40,
      logAppendTimeMs: undefined,
    });
    answer(first, { baseOffset: 42, logAppendTimeMs: 1_700_000_000_999 });
    expect(await writer.send([record('c')])).to.deep.equal({
      kind: 'appended',
      baseOffset: 42,
      logAppendTimeMs: 1_700_000_000_999,
    });
    await writer.send([record('d')]);
    const identity = { producerId: 1_001, producerEpoch: 0 };
    expect(writtenTo(first)).to.deep.equal([
      { ...identity, baseSequence: 0, keys: ['a', 'b'] },
      { ...identity, baseSequence: 2, keys: ['c'] },
      { ...identity, baseSequence: 3, keys: ['d'] },
    ]);
    expect(first.asked(apis.metadata)).to.have.length(1);
  });

  it('goes on at sequence 0 after the last that there is', () => {
    expect(sequenceAfter(2 ** 31 - 3, 2)).to.equal(2 ** 31 - 1);
    expect(sequenceAfter(2 ** 31 - 1, 1)).to.equal(0);
    expect(sequenceAfter(2 ** 31 - 2, 10)).to.equal(8);
  });

  const outcomes: Partial<Record<KafkaErrorName, string>> = {
    NOT_ENOUGH_REPLICAS: 'same',
    CORRUPT_MESSAGE: 'same',
    INVALID_RECORD: 'split',
    INVALID_TIMESTAMP: 'split',
    MESSAGE_TOO_LARGE: 'split',
    RECORD_LIST_TOO_LARGE: 'split',
    TOPIC_AUTHORIZATION_FAILED: 'never',
    CLUSTER_AUTHORIZATION_FAILED: 'never',
    POLICY_VIOLATION: 'never',
    OUT_OF_ORDER_SEQUENCE_NUMBER: 'anew',
    UNKNOWN_PRODUCER_ID: 'anew',
    INVALID_PRODUCER_EPOCH: 'anew',
    PRODUCER_FENCED: 'anew',
  };
  for (const [name, { code }] of Object.entries(kafkaErrors)) {
    if (code === 0) continue;
    const expected = outcomes[name as KafkaErrorName] ?? 'unknown';
    it(`takes ${name} for ${expected === 'unknown' ? 'an unknown outcome' : `a refusal, to be tried again: ${expected}`}`, async () => {
      answer(first, { error: name as KafkaErrorName, errorMessage: 'because' });
      const outcome = await writer.send([record('a'), record('b')]);
      expect(kindOf(outcome)).to.equal(expected);
      if (outcome.kind !== 'rejected') return;
      const isTooLarge = name === 'MESSAGE_TOO_LARGE' || name === 'RECORD_LIST_TOO_LARGE';
      expect(outcome.error.code).to.equal(isTooLarge ? 'value_too_large' : 'log_rejected');
      if (!isTooLarge) expect(outcome.error.detail).to.equal(`Kafka answered ${name}: because`);
      // Only what the broker no longer recognizes as a repetition may go out as something new.
      answer(first, { baseOffset: 7 });
      await writer.send([record('a'), record('b')]);
      expect(writtenTo(first).map(({ producerId, baseSequence }) => [producerId, baseSequence])).to.deep.equal([
        [1_001, 0],
        [expected === 'anew' ? 1_002 : 1_001, 0],
      ]);
    });
  }

  it('takes an error of a later Kafka for an unknown outcome', async () => {
    answer(first, { code: 9_999 });
    const outcome = await writer.send([record('a')]);
    expect(outcome).to.include({ kind: 'unknown' });
    expect(String((outcome as { error: unknown }).error)).to.include('9999');
  });

  it('takes a repetition that is in the log for appended, where the answer says at which offset', async () => {
    answer(first, { error: 'DUPLICATE_SEQUENCE_NUMBER', baseOffset: 12 });
    expect(await writer.send([record('a')])).to.include({ kind: 'appended', baseOffset: 12 });
    await writer.send([record('b')]);
    expect(writtenTo(first).map(({ baseSequence }) => baseSequence)).to.deep.equal([0, 1]);
  });

  it('does not take a success without an offset, or of another partition, for an answer', async () => {
    answer(first, { baseOffset: -1 });
    expect((await writer.send([record('a')])).kind).to.equal('unknown');
    first.on(apis.produce, () => ({
      responses: [{ name: topic, partitionResponses: [{ index: 4, errorCode: 0, baseOffset: 1 }] }],
    }));
    expect((await writer.send([record('a')])).kind).to.equal('unknown');
    first.on(apis.produce, () => ({ responses: [] }));
    expect((await writer.send([record('a')])).kind).to.equal('unknown');
  });

  it('repeats a batch whose answer was lost as it was, under the same identity and sequence', async () => {
    await writer.send([record('before')]);
    first.on(apis.produce, ({ socket }) => {
      socket.destroy();
      return undefined;
    });
    expect((await writer.send([record('a'), record('b')])).kind).to.equal('unknown');
    answer(first, { baseOffset: 41 });
    expect(await writer.send([record('a'), record('b')])).to.include({ kind: 'appended', baseOffset: 41 });
    const [, lost, repeated] = writtenTo(first);
    expect(repeated).to.deep.equal(lost);
    expect(repeated).to.include({ producerId: 1_001, baseSequence: 1 });
  });

  it('goes to the new leader after the old one says that it is none, under the same identity and sequence', async () => {
    await writer.send([record('before')]);
    answer(first, { error: 'NOT_LEADER_OR_FOLLOWER' });
    leader = 2;
    expect((await writer.send([record('a')])).kind).to.equal('unknown');
    expect((await writer.send([record('a')])).kind).to.equal('appended');
    expect(writtenTo(second)).to.deep.equal([{ producerId: 1_001, producerEpoch: 0, baseSequence: 1, keys: ['a'] }]);
  });

  it('goes to the new leader when the old one is gone', async () => {
    await writer.send([record('before')]);
    await first.stop();
    leader = 2;
    // Whether the end of the connection was seen before the batch was written is a matter of chance.
    expect((await writer.send([record('a')])).kind).to.be.oneOf(['unknown', 'not-sent']);
    expect((await writer.send([record('a')])).kind).to.equal('appended');
    expect(writtenTo(second)[0]).to.include({ producerId: 1_001, baseSequence: 1 });
    first = await ScriptedBroker.start();
  });

  it('takes a new identity after it was told to forget the old one', async () => {
    await writer.send([record('a')]);
    writer.forget();
    await writer.send([record('b')]);
    expect(writtenTo(first).map(({ producerId, baseSequence }) => [producerId, baseSequence])).to.deep.equal([
      [1_001, 0],
      [1_002, 0],
    ]);
  });

  it('has not sent what no broker was there for, and loses no identity by it', async () => {
    await writer.send([record('before')]);
    first.hangUp();
    await Promise.all([first.stop(), second.stop()]);
    while ((await writer.send([record('a')])).kind !== 'not-sent');
    expect((await writer.send([record('a')])).kind).to.equal('not-sent');
    await writer.probe().then(
      () => expect.fail('nobody is there'),
      () => undefined,
    );
    [first, second] = [await ScriptedBroker.start(), await ScriptedBroker.start()];
  });

  for (const [what, change] of Object.entries<() => void>({
    'the partition has no leader': () => {
      leader = -1;
    },
    'the topic is not there': () =>
      first.on(apis.metadata, () => ({
        topics: [{ name: topic, errorCode: kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code }],
      })),
    'the partition is not there': () => first.on(apis.metadata, () => ({ topics: [{ name: topic, partitions: [] }] })),
    'no producer ids are given out at the moment': () =>
      first.on(apis.initProducerId, () => ({ errorCode: kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS.code })),
    'no broker has idempotent producers': () => {
      for (const broker of [first, second]) {
        broker.served = broker.served.filter(({ apiKey }) => apiKey !== apis.initProducerId.request.apiKey);
      }
    },
  })) {
    it(`has sent nothing while ${what}`, async () => {
      change();
      expect((await writer.send([record('a')])).kind).to.equal('not-sent');
      expect(first.asked(apis.produce)).to.have.length(0);
    });
  }

  it('tells that it may not write to the topic, or not be a producer, as a refusal', async () => {
    first.on(apis.metadata, () => ({
      topics: [{ name: topic, errorCode: kafkaErrors.TOPIC_AUTHORIZATION_FAILED.code }],
    }));
    expect(kindOf(await writer.send([record('a')]))).to.equal('never');
    first.on(apis.initProducerId, () => ({ errorCode: kafkaErrors.CLUSTER_AUTHORIZATION_FAILED.code }));
    writer.forget();
    expect(kindOf(await writer.send([record('a')]))).to.equal('never');
  });

  it('has not sent a batch that cannot be encoded', async () => {
    const odd = { ...record('a'), timestampMs: Number.NaN };
    expect((await writer.send([odd])).kind).to.equal('not-sent');
    expect((await writer.send([record('a')])).kind).to.equal('appended');
    expect(writtenTo(first)).to.deep.include({ producerId: 1_001, producerEpoch: 0, baseSequence: 0, keys: ['a'] });
  });

  it('has a connection of its own for each partition: one would wait for the other’s replicas', async () => {
    const other = new DirectWriter({ brokers, topic, partition: 3, requestTimeoutMs: 10_000 });
    await Promise.all([writer.send([record('a')]), other.send([record('b')])]);
    expect(new Set(writtenTo(first).map(({ producerId }) => producerId)).size).to.equal(2);
    first.on(apis.metadata, () => ({
      brokers: [{ nodeId: 1, ...first.address }],
      topics: [{ name: topic, partitions: [3, 4].map((partitionIndex) => ({ partitionIndex, leaderId: 1 })) }],
    }));
    first.on(apis.produce, () => undefined);
    const before = first.connections;
    const waiting = writer.send([record('c')]);
    const third = new DirectWriter({ brokers, topic, partition: 4, requestTimeoutMs: 10_000 });
    const beside = third.send([{ ...record('d'), partition: 4 }]);
    while (first.asked(apis.produce).length < 4) await new Promise((resolve) => setImmediate(resolve));
    expect(first.connections).to.equal(before + 1);
    brokers.close();
    expect([(await waiting).kind, (await beside).kind]).to.deep.equal(['unknown', 'unknown']);
  });
});
