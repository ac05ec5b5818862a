import { expect } from 'chai';
import { addOffsetsToTxn } from '../../../../src/broker/handlers/txn/add-offsets-to-txn.ts';
import { addPartitionsToTxn } from '../../../../src/broker/handlers/txn/add-partitions-to-txn.ts';
import { describeProducers } from '../../../../src/broker/handlers/txn/describe-producers.ts';
import { describeTransactions } from '../../../../src/broker/handlers/txn/describe-transactions.ts';
import { endTxn } from '../../../../src/broker/handlers/txn/end-txn.ts';
import { initProducerId } from '../../../../src/broker/handlers/txn/init-producer-id.ts';
import { listTransactions } from '../../../../src/broker/handlers/txn/list-transactions.ts';
import { writeTxnMarkers } from '../../../../src/broker/handlers/txn/write-txn-markers.ts';
import { Faults } from '../../../../src/broker/server/faults.ts';
import type { Handler } from '../../../../src/broker/server/handler.ts';
import type { TransactionTargets } from '../../../../src/broker/txn/transaction-targets.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { KafkaError, type KafkaErrorName, kafkaErrors } from '../../../../src/protocol/errors.ts';
import { versionRange } from '../../../../src/protocol/schema.ts';
import { askHandler as ask } from '../../../support/broker/ask-handler.ts';
import { minuteMs, TransactionRig, timeoutMs } from './transaction-rig.ts';

const codeOf = (error: KafkaErrorName): number => kafkaErrors[error].code;
function versionsOf({ request }: Handler): number[] {
  const { from, to } = versionRange(request.versions);
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

describe('requests about transactions', () => {
  let rig: TransactionRig;

  beforeEach(async () => {
    rig = await TransactionRig.started();
  });

  afterEach(() => rig.coordinator.stop());

  describe('InitProducerId', () => {
    const init = (version: number, body: object) =>
      ask<{ errorCode: number; producerId: number; producerEpoch: number }>(initProducerId(rig.coordinator), version, {
        transactionTimeoutMs: timeoutMs,
        ...body,
      });

    it('gives everybody without a transactional id a new producer id, whatever it says', async () => {
      const bodies = [{}, { producerId: 5, producerEpoch: 3 }, { producerId: 5 }, { transactionTimeoutMs: -1 }];
      const given: number[] = [];
      for (const version of versionsOf(initProducerId(rig.coordinator))) {
        for (const body of bodies) {
          const answer = await init(version, { ...body, transactionalId: null });
          expect(answer).to.include({ errorCode: 0, producerEpoch: 0 });
          given.push(answer.producerId);
        }
      }
      expect(new Set(given).size).to.equal(24);
      expect(rig.coordinator.list()).to.deep.equal([]);
    });

    it('gives a transactional id one producer id and the next epoch, in every version', async () => {
      for (const version of versionsOf(initProducerId(rig.coordinator))) {
        expect(await init(version, { transactionalId: 't' })).to.include({
          errorCode: 0,
          producerId: 0,
          producerEpoch: version,
        });
      }
    });

    it('refuses a producer id without an epoch, and an epoch without a producer id', async () => {
      for (const body of [{ producerId: 0 }, { producerEpoch: 0 }]) {
        expect(await init(3, { transactionalId: 't', ...body })).to.include({
          errorCode: codeOf('INVALID_REQUEST'),
          producerId: -1,
          producerEpoch: -1,
        });
      }
    });

    it('tells a fenced producer so in the words that its version knows', async () => {
      await init(5, { transactionalId: 't' });
      await init(5, { transactionalId: 't' });
      const fenced = { transactionalId: 't', producerId: 0, producerEpoch: 0 };
      expect(await init(3, fenced)).to.include({ errorCode: codeOf('INVALID_PRODUCER_EPOCH'), producerId: -1 });
      expect(await init(4, fenced)).to.include({ errorCode: codeOf('PRODUCER_FENCED'), producerId: -1 });
      expect(await init(5, fenced)).to.include({ errorCode: codeOf('PRODUCER_FENCED'), producerEpoch: -1 });
    });

    it('answers with the error when it fails', async () => {
      await rig.coordinator.stop();
      const answer = await init(5, { transactionalId: 't' });
      expect(answer).to.include({
        errorCode: codeOf('COORDINATOR_NOT_AVAILABLE'),
        producerId: -1,
        producerEpoch: -1,
      });
    });
  });

  describe('AddPartitionsToTxn', () => {
    const add = async (version: number, body: object): Promise<Record<string, number>> => {
      const { resultsByTopicV3AndBelow } = await ask<{
        resultsByTopicV3AndBelow: {
          name: string;
          resultsByPartition: { partitionIndex: number; partitionErrorCode: number }[];
        }[];
      }>(addPartitionsToTxn(rig.coordinator), version, {
        v3AndBelowTransactionalId: 't',
        v3AndBelowProducerId: 0,
        ...body,
      });
      return Object.fromEntries(
        resultsByTopicV3AndBelow.flatMap(({ name, resultsByPartition }) =>
          resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => [
            `${name}-${partitionIndex}`,
            partitionErrorCode,
          ]),
        ),
      );
    };
    const topics = (...names: [name: string, ...partitions: number[]][]) => ({
      v3AndBelowTopics: names.map(([name, ...partitions]) => ({ name, partitions })),
    });

    it('adds all that are named, in every version', async () => {
      await rig.init('t');
      for (const version of versionsOf(addPartitionsToTxn(rig.coordinator))) {
        expect(await add(version, topics(['a', 0, 1], ['b', 0]))).to.deep.equal({ 'a-0': 0, 'a-1': 0, 'b-0': 0 });
        expect(rig.verify('t', '0/0', 'b-0')).to.equal('NONE');
        await rig.commit('t', '0/0');
      }
    });

    it('adds none when one is not there', async () => {
      await rig.init('t');
      expect(await add(3, topics(['a', 0, 7], ['c', 0]))).to.deep.equal({
        'a-0': codeOf('OPERATION_NOT_ATTEMPTED'),
        'a-7': codeOf('UNKNOWN_TOPIC_OR_PARTITION'),
        'c-0': codeOf('UNKNOWN_TOPIC_OR_PARTITION'),
      });
      expect(rig.status('t')).to.equal('Empty 0/0');
    });

    it('lets nobody write to the topics of the broker', async () => {
      rig.partitions.add('__consumer_offsets-0').add('__transaction_state-0');
      await rig.init('t');
      expect(await add(3, topics(['__consumer_offsets', 0], ['__transaction_state', 0], ['a', 0]))).to.deep.equal({
        '__consumer_offsets-0': codeOf('TOPIC_AUTHORIZATION_FAILED'),
        '__transaction_state-0': codeOf('TOPIC_AUTHORIZATION_FAILED'),
        'a-0': codeOf('OPERATION_NOT_ATTEMPTED'),
      });
    });

    it('tells of an error at every partition, a fenced producer in the words that its version knows', async () => {
      await rig.init('t');
      await rig.init('t');
      for (const version of [0, 1]) {
        const { code } = kafkaErrors.INVALID_PRODUCER_EPOCH;
        expect(await add(version, topics(['a', 0, 1]))).to.deep.equal({ 'a-0': code, 'a-1': code });
      }
      for (const version of [2, 3]) {
        const { code } = kafkaErrors.PRODUCER_FENCED;
        expect(await add(version, topics(['a', 0, 1]))).to.deep.equal({ 'a-0': code, 'a-1': code });
      }
      await rig.coordinator.stop();
      const { code } = kafkaErrors.COORDINATOR_NOT_AVAILABLE;
      expect(await add(3, topics(['a', 0, 1]))).to.deep.equal({ 'a-0': code, 'a-1': code });
    });
  });

  for (const { name, make, body } of [
    { name: 'AddOffsetsToTxn', make: addOffsetsToTxn, body: { groupId: 'g' } },
    { name: 'EndTxn', make: endTxn, body: { committed: true } },
  ]) {
    describe(name, () => {
      const askFor = (version: number, identity: object) =>
        ask<{ errorCode: number }>(make(rig.coordinator), version, { transactionalId: 't', ...identity, ...body });

      it('does what is asked, in every version', async () => {
        await rig.init('t');
        for (const version of versionsOf(make(rig.coordinator))) {
          await rig.add('t', '0/0', 'a-0');
          expect(await askFor(version, { producerId: 0, producerEpoch: 0 })).to.include({ errorCode: 0 });
        }
        if (name === 'EndTxn') expect(rig.status('t')).to.equal('CompleteCommit 0/0');
        else expect(rig.verify('t', '0/0', '__consumer_offsets-0')).to.equal('NONE');
      });

      it('tells a fenced producer so in the words that its version knows', async () => {
        await rig.init('t');
        await rig.init('t');
        const codes: number[] = [];
        for (const version of versionsOf(make(rig.coordinator))) {
          codes.push((await askFor(version, { producerId: 0, producerEpoch: 0 })).errorCode);
        }
        const [old, now] = [codeOf('INVALID_PRODUCER_EPOCH'), codeOf('PRODUCER_FENCED')];
        expect(codes).to.deep.equal([old, old, now, now, now]);
      });

      it('tells of a producer id that is not the one of the transactional id', async () => {
        await rig.init('t');
        expect(await askFor(4, { producerId: 9, producerEpoch: 0 })).to.include({
          errorCode: codeOf('INVALID_PRODUCER_ID_MAPPING'),
        });
      });
    });
  }

  it('EndTxn aborts unless it is told to commit', async () => {
    await rig.init('t');
    await rig.add('t', '0/0', 'a-0');
    await ask(endTxn(rig.coordinator), 4, { transactionalId: 't', producerId: 0, producerEpoch: 0, committed: false });
    expect(rig.status('t')).to.equal('CompleteAbort 0/0');
  });

  describe('WriteTxnMarkers', () => {
    const written: string[] = [];
    const refusedBy = new Map<string, Error>();
    const targets: TransactionTargets = {
      hasPartition: (topic, partition) => topic === 'a' && partition < 3,
      writeMarker: async (topic, partition, { producerId, producerEpoch, coordinatorEpoch, commit }) => {
        const refusal = refusedBy.get(`${topic}-${partition}`);
        if (refusal !== undefined) throw refusal;
        const end = commit ? 'commit' : 'abort';
        written.push(`${end} ${producerId}/${producerEpoch} of ${coordinatorEpoch} in ${topic}-${partition}`);
      },
    };
    const faults = new Faults(createLogger('silent', { terminal: false }));
    const marker = { producerId: 7, producerEpoch: 2, transactionResult: false, coordinatorEpoch: 0 };
    const write = async (...markers: object[]): Promise<Record<string, string>[]> => {
      const answer = await ask<{
        markers: {
          producerId: number;
          topics: { name: string; partitions: { partitionIndex: number; errorCode: number }[] }[];
        }[];
      }>(writeTxnMarkers({ targets, faults }), 1, { markers });
      return answer.markers.map(({ producerId, topics }) =>
        Object.fromEntries(
          topics.flatMap(({ name, partitions }) =>
            partitions.map(({ partitionIndex, errorCode }) => [
              `${producerId} ${name}-${partitionIndex}`,
              Object.entries(kafkaErrors).find(([, { code }]) => code === errorCode)![0],
            ]),
          ),
        ),
      );
    };

    beforeEach(() => {
      written.length = 0;
      refusedBy.clear();
    });

    it('ends what the producer has open in each partition that is there', async () => {
      const topics = [
        { name: 'a', partitionIndexes: [0, 2, 3] },
        { name: 'b', partitionIndexes: [0] },
      ];
      const other = {
        ...marker,
        producerId: 8,
        transactionResult: true,
        topics: [{ name: 'a', partitionIndexes: [1] }],
      };
      const unknown = 'UNKNOWN_TOPIC_OR_PARTITION';
      expect(await write({ ...marker, topics }, other)).to.deep.equal([
        { '7 a-0': 'NONE', '7 a-2': 'NONE', '7 a-3': unknown, '7 b-0': unknown },
        { '8 a-1': 'NONE' },
      ]);
      expect(written).to.deep.equal(['abort 7/2 of 0 in a-0', 'abort 7/2 of 0 in a-2', 'commit 8/2 of 0 in a-1']);
      expect(await write()).to.deep.equal([]);
    });

    it('answers for each partition on its own what the partition says', async () => {
      refusedBy.set('a-0', new KafkaError('INVALID_PRODUCER_EPOCH', 'It knows a later one.'));
      refusedBy.set('a-1', new Error('a fault of ours'));
      expect(await write({ ...marker, topics: [{ name: 'a', partitionIndexes: [0, 1, 2] }] })).to.deep.equal([
        { '7 a-0': 'INVALID_PRODUCER_EPOCH', '7 a-1': 'UNKNOWN_SERVER_ERROR', '7 a-2': 'NONE' },
      ]);
      expect(written).to.have.length(1);
    });

    it('refuses a coordinator that is not this one, and a producer that cannot be', async () => {
      const topics = [{ name: 'a', partitionIndexes: [0] }];
      for (const coordinatorEpoch of [-1, 1]) {
        expect(await write({ ...marker, coordinatorEpoch, topics })).to.deep.equal([
          { '7 a-0': 'TRANSACTION_COORDINATOR_FENCED' },
        ]);
      }
      expect(await write({ ...marker, producerId: -1, topics })).to.deep.equal([{ '-1 a-0': 'INVALID_REQUEST' }]);
      expect(await write({ ...marker, producerEpoch: -1, topics })).to.deep.equal([{ '7 a-0': 'INVALID_REQUEST' }]);
      expect(written).to.deep.equal([]);
    });
  });

  it('DescribeProducers tells of each partition what is known there', async () => {
    const producer = {
      producerId: 4,
      producerEpoch: 2,
      lastSequence: 9,
      coordinatorEpoch: 0,
      currentTxnStartOffset: 7,
    };
    const handler = describeProducers((topic, partition) => {
      if (topic !== 'a' || partition > 1) return undefined;
      return partition === 0 ? [{ ...producer, lastTimestampMs: 123 }] : [];
    });
    const topics = [
      { name: 'a', partitionIndexes: [0, 1, 2] },
      { name: 'no topic', partitionIndexes: [0] },
    ];
    const answer = await ask<{
      topics: { partitions: { partitionIndex: number; errorCode: number; activeProducers: object[] }[] }[];
    }>(handler, 0, { topics });
    expect(answer.topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))).to.deep.equal([
      [0, 0, codeOf('UNKNOWN_TOPIC_OR_PARTITION')],
      [codeOf('INVALID_TOPIC_EXCEPTION')],
    ]);
    expect(answer.topics[0]!.partitions.map(({ activeProducers }) => activeProducers)).to.deep.equal([
      [{ ...producer, lastTimestamp: 123 }],
      [],
      [],
    ]);
  });

  it('DescribeTransactions tells where transactional ids stand', async () => {
    await rig.init('t');
    await rig.clock.pass(minuteMs);
    await rig.add('t', '0/0', 'a-0', 'b-0', 'a-1');
    await rig.init('idle');
    const { transactionStates } = await ask<{ transactionStates: object[] }>(describeTransactions(rig.coordinator), 0, {
      transactionalIds: ['t', 'idle', 'unknown', ''],
    });
    const none = {
      transactionState: '',
      transactionTimeoutMs: 0,
      transactionStartTimeMs: 0,
      producerId: 0,
      producerEpoch: 0,
      topics: [],
    };
    expect(transactionStates).to.deep.equal([
      {
        errorCode: 0,
        transactionalId: 't',
        transactionState: 'Ongoing',
        transactionTimeoutMs: timeoutMs,
        transactionStartTimeMs: rig.clock.nowMs(),
        producerId: 0,
        producerEpoch: 0,
        topics: [
          { topic: 'a', partitions: [0, 1] },
          { topic: 'b', partitions: [0] },
        ],
      },
      {
        ...none,
        errorCode: 0,
        transactionalId: 'idle',
        transactionState: 'Empty',
        transactionTimeoutMs: timeoutMs,
        transactionStartTimeMs: -1,
        producerId: 1,
      },
      { ...none, errorCode: codeOf('TRANSACTIONAL_ID_NOT_FOUND'), transactionalId: 'unknown' },
      { ...none, errorCode: codeOf('INVALID_REQUEST'), transactionalId: '' },
    ]);
    await rig.coordinator.stop();
    const stopped = await ask<{ transactionStates: object[] }>(describeTransactions(rig.coordinator), 0, {
      transactionalIds: ['t'],
    });
    expect(stopped.transactionStates).to.deep.equal([
      { ...none, errorCode: codeOf('COORDINATOR_NOT_AVAILABLE'), transactionalId: 't' },
    ]);
  });

  describe('ListTransactions', () => {
    const list = async (version: number, filters: object) => {
      const answer = await ask<{
        errorCode: number;
        unknownStateFilters: string[];
        transactionStates: { transactionalId: string; producerId: number; transactionState: string }[];
      }>(listTransactions(rig.coordinator, rig.clock), version, filters);
      return {
        errorCode: answer.errorCode,
        unknown: answer.unknownStateFilters,
        found: answer.transactionStates.map(
          (each) => `${each.transactionalId} ${each.producerId} ${each.transactionState}`,
        ),
      };
    };

    beforeEach(async () => {
      for (const id of ['old-1', 'old-2', 'new-1']) await rig.init(id, undefined, 15 * minuteMs);
      await rig.add('old-1', '0/0', 'a-0');
      await rig.commit('old-1', '0/0');
      await rig.add('old-2', '1/0', 'a-0');
      await rig.clock.pass(minuteMs);
      await rig.add('new-1', '2/0', 'a-0');
    });

    it('names all without a filter, in every version', async () => {
      for (const version of versionsOf(listTransactions(rig.coordinator, rig.clock))) {
        expect(await list(version, {})).to.deep.equal({
          errorCode: 0,
          unknown: [],
          found: ['old-1 0 CompleteCommit', 'old-2 1 Ongoing', 'new-1 2 Ongoing'],
        });
      }
    });

    it('names those that pass every filter', async () => {
      expect((await list(0, { stateFilters: ['Ongoing'] })).found).to.deep.equal([
        'old-2 1 Ongoing',
        'new-1 2 Ongoing',
      ]);
      expect((await list(0, { producerIdFilters: [0, 2] })).found).to.deep.equal([
        'old-1 0 CompleteCommit',
        'new-1 2 Ongoing',
      ]);
      const both = { stateFilters: ['Ongoing', 'Empty'], producerIdFilters: [0, 2] };
      expect((await list(0, both)).found).to.deep.equal(['new-1 2 Ongoing']);
      const open = { stateFilters: ['Ongoing'], durationFilter: minuteMs / 2 };
      expect((await list(1, open)).found).to.deep.equal(['old-2 1 Ongoing']);
      expect((await list(2, { transactionalIdPattern: 'old-.*' })).found).to.deep.equal([
        'old-1 0 CompleteCommit',
        'old-2 1 Ongoing',
      ]);
      expect((await list(2, { transactionalIdPattern: '' })).found).to.have.length(3);
    });

    it('names the states that do not exist, and finds nothing by them', async () => {
      expect(await list(0, { stateFilters: ['Undecided', 'toString', 'Dead', 'PrepareEpochFence'] })).to.deep.equal({
        errorCode: 0,
        unknown: ['Undecided', 'toString'],
        found: [],
      });
    });

    it('refuses a pattern that is none', async () => {
      expect(await list(2, { transactionalIdPattern: '(' })).to.deep.equal({
        errorCode: codeOf('INVALID_REGULAR_EXPRESSION'),
        unknown: [],
        found: [],
      });
    });
  });
});
