import { type ExecFileException, execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  readTransactionKey,
  readTransactionValue,
  transactionKey,
  transactionValue,
} from '../../../../src/broker/txn/transaction-log.ts';
import {
  listPartitions,
  noPartitions,
  type TransactionState,
  type TransactionStatus,
  transactionStatuses,
  withPartitions,
} from '../../../../src/broker/txn/transaction-state.ts';
import { WireError } from '../../../../src/protocol/wire.ts';
import { javaKafka } from '../../../support/kafka/java.ts';
import { orSkip } from '../../../support/kafka/kafka.ts';
import { Unavailable } from '../../../support/kafka/unavailable.ts';
import { targetOf } from './transaction-rig.ts';

const oraclePath = fileURLToPath(new URL('TransactionLogOracle.java', import.meta.url));

const anyState: fc.Arbitrary<TransactionState> = fc
  .record({
    status: fc.constantFrom(...(Object.keys(transactionStatuses) as TransactionStatus[])),
    producerId: fc.maxSafeNat(),
    producerEpoch: fc.integer({ min: 0, max: 0x7fff }),
    timeoutMs: fc.integer({ min: 1, max: 0x7fff_ffff }),
    partitions: fc.array(fc.record({ topic: fc.string({ unit: 'grapheme' }), partition: fc.nat(5) })),
    startedMs: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
    updatedMs: fc.maxSafeNat(),
  })
  .map(({ partitions, ...state }) => ({
    ...state,
    previousProducerId: -1,
    lastProducerEpoch: -1,
    // A transaction that has not begun has none, and the format has no place for them.
    partitions: state.status === 'Empty' ? noPartitions : withPartitions(noPartitions, partitions),
  }));

const states: readonly TransactionState[] = (Object.keys(transactionStatuses) as TransactionStatus[]).map(
  (status, index) => ({
    status,
    producerId: 2 ** 40 + index,
    producerEpoch: 300 + index,
    previousProducerId: -1,
    lastProducerEpoch: -1,
    timeoutMs: 60_000 + index,
    partitions: ['Ongoing', 'PrepareCommit', 'PrepareAbort'].includes(status)
      ? withPartitions(noPartitions, ['orders-0', 'orders-2', 'päckchen-1'].map(targetOf))
      : noPartitions,
    startedMs: status === 'Empty' ? -1 : 1_700_000_000_000 + index,
    updatedMs: 1_700_000_100_000 + index,
  }),
);

describe('transaction log', () => {
  it('reads what it has written', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), anyState, (id, state) => {
        expect(readTransactionKey(transactionKey(id))).to.equal(id);
        expect(readTransactionValue(transactionValue(state))).to.deep.equal(state);
      }),
    );
  });

  it('writes in version 1, with nothing tagged', () => {
    const [empty] = states as [TransactionState];
    expect(transactionKey('t').toString('hex')).to.equal('0000000174');
    expect(
      transactionValue({ ...empty, producerId: 1, producerEpoch: 2, timeoutMs: 3, updatedMs: 4 }).toString('hex'),
    ).to.equal(
      `0001${'1'.padStart(16, '0')}0002${'3'.padStart(8, '0')}0000${'4'.padStart(16, '0')}${'f'.repeat(16)}00`,
    );
  });

  it('reads version 0 too, which Kafka writes before its features are upgraded', () => {
    const value = Buffer.from(
      `0000${'1'.padStart(16, '0')}0002${'3'.padStart(8, '0')}01${'1'.padStart(8, '0')}000161${'1'.padStart(8, '0')}` +
        `${'7'.padStart(8, '0')}${'4'.padStart(16, '0')}${'5'.padStart(16, '0')}`,
      'hex',
    );
    const state = readTransactionValue(value);
    expect(state).to.include({
      status: 'Ongoing',
      producerId: 1,
      producerEpoch: 2,
      timeoutMs: 3,
      updatedMs: 4,
      startedMs: 5,
    });
    expect(listPartitions(state.partitions)).to.deep.equal([targetOf('a-7')]);
  });

  it('passes over the tagged fields of later transactions', () => {
    const plain = transactionValue(states[0]!);
    // The previous producer id, of eight bytes, and the version of the client, of two.
    const tagged = Buffer.concat([
      plain.subarray(0, -1),
      Buffer.from(`02 00 08 ${'00'.repeat(8)} 02 02 0002`.replaceAll(' ', ''), 'hex'),
    ]);
    expect(readTransactionValue(tagged)).to.deep.equal(states[0]);
  });

  it('does not know keys of other versions, and refuses values of other versions, states or lengths', () => {
    const key = transactionKey('t');
    key.writeInt16BE(1);
    expect(readTransactionKey(key)).to.equal(undefined);
    const changed = (at: number, byte: number): Buffer => {
      const value = transactionValue(states[1]!);
      value[at] = byte;
      return value;
    };
    const statusAt = 2 + 8 + 2 + 4;
    for (const value of [
      changed(1, 2),
      changed(0, 0xff),
      changed(statusAt, 6),
      changed(statusAt, 7),
      changed(statusAt, 0xff),
      transactionValue(states[1]!).subarray(0, 30),
      Buffer.concat([transactionValue(states[1]!), Buffer.alloc(1)]),
      Buffer.alloc(0),
    ]) {
      expect(() => readTransactionValue(value)).to.throw(WireError);
    }
    expect(() => readTransactionKey(Buffer.alloc(1))).to.throw(WireError);
  });

  describe('as Kafka sees it', () => {
    let printed: { key: { data: object }; value: { version: number; data: Record<string, unknown> } }[];
    let rewritten: string[];
    const ids = states.map((_, index) => `transactional-${index}-ä`);

    before(async function () {
      this.timeout(300_000);
      const { java, classPath } = await orSkip(this, javaKafka());
      const flags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath];
      const running = promisify(execFile)(java, [...flags, oraclePath]);
      running.child.stdin?.on('error', () => undefined).end(recordsInHex().join('\n'));
      const finished = running.catch((error: ExecFileException) => {
        // A runtime without a compiler runs classes only.
        if (/jdk\.compiler|Could not find or load main class/.test(error.message)) {
          throw new Unavailable('this Java has no compiler to run a source file with');
        }
        throw error;
      });
      const lines = (await orSkip(this, finished)).stdout.trim().split('\n');
      printed = lines.filter((_, index) => index % 2 === 0).map((line) => JSON.parse(line));
      rewritten = lines.filter((_, index) => index % 2 === 1);
    });

    function recordsInHex(): string[] {
      return states.map(
        (state, index) => `${transactionKey(ids[index]!).toString('hex')} ${transactionValue(state).toString('hex')}`,
      );
    }

    it('is the transaction log, to its console consumer', () => {
      expect(printed.map(({ key }) => key.data)).to.deep.equal(ids.map((transactionalId) => ({ transactionalId })));
      expect(printed.map(({ value }) => value.data)).to.deep.equal(
        states.map((state) => ({
          producerId: state.producerId,
          producerEpoch: state.producerEpoch,
          transactionTimeoutMs: state.timeoutMs,
          transactionStatus: transactionStatuses[state.status],
          transactionPartitions:
            state.status === 'Empty'
              ? null
              : Array.from(state.partitions, ([topic, partitions]) => ({ topic, partitionIds: [...partitions] })),
          transactionLastUpdateTimestampMs: state.updatedMs,
          transactionStartTimestampMs: state.startedMs,
        })),
      );
    });

    it('has the bytes that it would have written itself', () => {
      expect(rewritten).to.deep.equal(recordsInHex());
    });
  });
});
