import { expect } from 'chai';
import type { Admin } from 'kafkajs';
import {
  addPartitionsToTxnRequest,
  addPartitionsToTxnResponse,
} from '../../../src/protocol/messages/add-partitions-to-txn.ts';
import { endTxnRequest, endTxnResponse } from '../../../src/protocol/messages/end-txn.ts';
import { fetchRequest, fetchResponse } from '../../../src/protocol/messages/fetch.ts';
import { initProducerIdRequest, initProducerIdResponse } from '../../../src/protocol/messages/init-producer-id.ts';
import { offsetCommitRequest, offsetCommitResponse } from '../../../src/protocol/messages/offset-commit.ts';
import { produceRequest, produceResponse } from '../../../src/protocol/messages/produce.ts';
import { batchHeaderBytes, readHeader, walkRecords, writeBatch } from '../../../src/protocol/record-batch.ts';
import { limitFileSize, needsFileSizeLimits } from '../../support/broker/file-size-limit.ts';
import { WireClient } from '../../support/broker/wire-client.ts';
import { until } from '../../support/conformance/until.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { createTopic } from '../../support/kafka/topics.ts';

const produceApi = [produceRequest, produceResponse] as const;
const endTxnApi = [endTxnRequest, endTxnResponse] as const;
const storageError = 56;
const notCoordinator = 16;
const recordBytes = 5_000;

describe('the embedded broker on a disk that is full', () => {
  let broker: EmbeddedBroker;
  let client: WireClient;

  before(async function () {
    await needsFileSizeLimits(this);
  });

  beforeEach(async () => {
    broker = await EmbeddedBroker.launch({
      flags: ['--flush', 'acks-all', '--log-level', 'fatal', '--metrics-port', '0'],
    });
    client = await WireClient.dial(broker.port);
  });
  afterEach(async () => {
    client?.end();
    await broker?.stop();
  });

  const limit = (bytes: number | undefined) => limitFileSize(broker.pid!, bytes);

  /** As after a loss of power; the limit is gone with the process. */
  async function restart(): Promise<void> {
    await broker.kill();
    await broker.start();
    client = await WireClient.dial(broker.port);
  }

  function batchOf(
    value: string,
    { key = 0, ...producer }: { key?: number; producerId?: number; baseSequence?: number } = {},
  ): Buffer {
    const records = [
      { key: Buffer.from(`key ${key}`), value: Buffer.from(value.padEnd(recordBytes, '.')), timestampMs: Date.now() },
    ];
    const isTransactional = producer.producerId !== undefined;
    return writeBatch({ records, ...producer, isTransactional, producerEpoch: isTransactional ? 0 : -1 });
  }

  /** The error code of an append with acks=all. */
  async function append(topic: string, records: Buffer, transactionalId: string | null = null): Promise<number> {
    const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }];
    const answer = await client.ask(
      produceApi,
      { transactionalId, acks: -1, timeoutMs: 1_000, topicData },
      { version: 9 },
    );
    return answer.responses[0]!.partitionResponses[0]!.errorCode;
  }

  /** What a reader of committed records sees of partition 0, without a group: that would have to be noted too. */
  async function valuesOf(topic: string): Promise<string[]> {
    const values: string[] = [];
    for (let fetchOffset = 0; ; ) {
      const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }];
      const wanted = { maxWaitMs: 0, minBytes: 0, isolationLevel: 1, topics: [{ topic, partitions }] };
      const answer = await client.ask([fetchRequest, fetchResponse], wanted, { version: 12 });
      const { errorCode, records } = answer.responses[0]!.partitions[0]!;
      expect(errorCode).to.equal(0);
      if (records === null || records.length === 0) return values;
      for (let at = 0; at < records.length; ) {
        const header = readHeader(records, at);
        const bytes = records.subarray(at + batchHeaderBytes, at + header.bytes);
        if (!header.isControl) {
          walkRecords(bytes, header.count, ({ valueStart, valueLength }) => {
            values.push(bytes.toString('utf8', valueStart, valueStart + valueLength).replace(/\.+$/, ''));
          });
        }
        fetchOffset = header.lastOffset + 1;
        at += header.bytes;
      }
    }
  }

  async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = kafkajsClient(broker, { retry: { retries: 2, initialRetryTime: 20 } }).admin();
    await admin.connect();
    try {
      return await use(admin);
    } finally {
      await admin.disconnect();
    }
  }

  it('answers KAFKA_STORAGE_ERROR for the partition that cannot grow, goes on with the others, and loses nothing', async () => {
    await createTopic(broker, 'full');
    await createTopic(broker, 'roomy', { config: { 'segment.bytes': '20000' } });
    await limit(8 * recordBytes);
    const taken: string[] = [];
    const errors: number[] = [];
    for (let number = 0; number < 12; number += 1) {
      const error = await append('full', batchOf(`full ${number}`));
      if (error === 0) taken.push(`full ${number}`);
      errors.push(error);
      expect(await append('roomy', batchOf(`roomy ${number}`))).to.equal(0);
    }
    expect(errors).to.deep.equal([
      ...taken.map(() => 0),
      ...Array.from({ length: 12 - taken.length }, () => storageError),
    ]);
    expect(taken).to.have.length.within(6, 8);
    expect(await valuesOf('full')).to.deep.equal(taken);
    await limit(undefined);
    expect(await append('full', batchOf('later'))).to.equal(0);
    await restart();
    expect(await valuesOf('full')).to.deep.equal([...taken, 'later']);
    expect(await valuesOf('roomy')).to.have.length(12);
  });

  it('refuses topics, groups’ offsets and producer ids that it cannot note, and takes them on once there is room', async () => {
    await createTopic(broker, 'before');
    expect(await append('before', batchOf('kept'))).to.equal(0);
    await limit(1);
    expect(await append('before', batchOf('refused'))).to.equal(storageError);
    const refusal = await withAdmin((admin) => admin.createTopics({ topics: [{ topic: 'unmade' }] })).catch(String);
    expect(refusal).to.be.a('string');
    const offsets = {
      ...{ groupId: 'group', generationIdOrMemberEpoch: -1, memberId: '' },
      topics: [{ name: 'before', partitions: [{ partitionIndex: 0, committedOffset: 1 }] }],
    };
    const commit = async () => {
      const answer = await client.ask([offsetCommitRequest, offsetCommitResponse], offsets, { version: 8 });
      return answer.topics[0]!.partitions[0]!.errorCode;
    };
    expect(await commit()).to.be.above(0);
    const init = { transactionalId: 'mover', transactionTimeoutMs: 10_000 };
    const initApi = [initProducerIdRequest, initProducerIdResponse] as const;
    expect((await client.ask(initApi, init, { version: 4 })).errorCode).to.be.above(0);
    expect(await valuesOf('before')).to.deep.equal(['kept']);

    await limit(undefined);
    expect(await append('before', batchOf('taken'))).to.equal(0);
    await createTopic(broker, 'unmade');
    expect(await commit()).to.equal(0);
    expect((await client.ask(initApi, init, { version: 4 })).errorCode).to.equal(0);
    await restart();
    expect(await valuesOf('before')).to.deep.equal(['kept', 'taken']);
    expect(await withAdmin((admin) => admin.listTopics())).to.include.members(['before', 'unmade']);
    const [committed] = await withAdmin((admin) => admin.fetchOffsets({ groupId: 'group', topics: ['before'] }));
    expect(committed?.partitions[0]?.offset).to.equal('1');
  });

  describe('in a transaction', () => {
    let transaction: { producerId: number; producerEpoch: number; transactionalId: string };

    beforeEach(async () => {
      await createTopic(broker, 'moved');
      const init = { transactionalId: 'mover', transactionTimeoutMs: 60_000 };
      const { producerId, producerEpoch } = await client.ask([initProducerIdRequest, initProducerIdResponse], init, {
        version: 4,
      });
      transaction = { transactionalId: 'mover', producerId, producerEpoch };
      await client.ask(
        [addPartitionsToTxnRequest, addPartitionsToTxnResponse],
        {
          v3AndBelowTransactionalId: 'mover',
          v3AndBelowProducerId: producerId,
          v3AndBelowProducerEpoch: producerEpoch,
          v3AndBelowTopics: [{ name: 'moved', partitions: [0] }],
        },
        { version: 3 },
      );
      expect(await append('moved', batchOf('part', { producerId, baseSequence: 0 }), 'mover')).to.equal(0);
    });

    const end = async () =>
      (await client.ask(endTxnApi, { ...transaction, committed: true }, { version: 3 })).errorCode;

    it('does not say that it is committed when it cannot note that, and commits it once there is room', async () => {
      await limit(1);
      expect(await end()).to.equal(notCoordinator);
      expect(await valuesOf('moved')).to.deep.equal([]);
      await limit(undefined);
      expect(await end()).to.equal(0);
      expect(await valuesOf('moved')).to.deep.equal(['part']);
    });

    for (const [how, makeRoom] of Object.entries({
      'as soon as there is room': () => limit(undefined),
      'at its next start': restart,
    })) {
      it(`writes the marker of a commit that is noted ${how}`, async () => {
        // The records make their file larger than that of the transactions is.
        await limit(recordBytes - 1_000);
        expect(await end()).to.equal(0);
        expect(await valuesOf('moved')).to.deep.equal([]);
        await makeRoom();
        const values = await until(async () => {
          const seen = await valuesOf('moved');
          return seen.length > 0 ? seen : undefined;
        });
        expect(values).to.deep.equal(['part']);
      });
    }
  });

  it('leaves a log as it is that it cannot compact, and compacts it once there is room', async function () {
    this.timeout(60_000);
    const config = {
      'segment.bytes': '60000',
      'cleanup.policy': 'compact',
      // Nothing may be compacted before the files may not grow.
      'min.compaction.lag.ms': '3600000',
      'min.cleanable.dirty.ratio': '0.01',
    };
    await createTopic(broker, 'compacted', { config });
    const keys = 15;
    const numbers = Array.from({ length: 40 }, (_, number) => number);
    for (const number of numbers)
      expect(await append('compacted', batchOf(`${number}`, { key: number % keys }))).to.equal(0);
    await limit(20_000);
    await withAdmin((admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: 2,
            name: 'compacted',
            configEntries: Object.entries({ ...config, 'min.compaction.lag.ms': '0' }).map(([name, value]) => ({
              name,
              value,
            })),
          },
        ],
      }),
    );
    const port = /metrics at http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(broker.output)?.[1];
    const failures = async () => {
      const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      return Number(/^bitacora_broker_cleaning_failures_total (\d+)$/m.exec(text)?.[1]);
    };
    await until(async () => ((await failures()) > 0 ? true : undefined));
    const latest = numbers.slice(-keys).map(String);
    const before = await valuesOf('compacted');
    expect(before.slice(-keys)).to.deep.equal(latest);
    await limit(undefined);
    const after = await until(async () => {
      const values = await valuesOf('compacted');
      return values.length < before.length ? values : undefined;
    });
    expect(after.slice(-keys)).to.deep.equal(latest);
  });
});
