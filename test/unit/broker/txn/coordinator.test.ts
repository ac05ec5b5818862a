import { expect } from 'chai';
import type { KafkaError } from '../../../../src/protocol/errors.ts';
import { settled } from '../../../support/fake-clock.ts';
import { minuteMs, TransactionRig, timeoutMs } from './transaction-rig.ts';

const dayMs = 24 * 60 * minuteMs;
/** The coordinator looks at timeouts once a second. */
const aCheckMs = 1_000;

describe('transaction coordinator', () => {
  let rig: TransactionRig;

  beforeEach(async () => {
    rig = await TransactionRig.started();
  });

  afterEach(async () => {
    rig.log.release();
    await rig.coordinator.stop();
    expect(rig.clock.pending).to.equal(0);
  });

  describe('a transaction', () => {
    it('is logged as decided before any marker, and as complete after all of them', async () => {
      expect(await rig.init('t')).to.equal('0/0');
      expect(await rig.add('t', '0/0', 'a-0', 'b-0')).to.equal('NONE');
      expect(await rig.add('t', '0/0', 'a-1')).to.equal('NONE');
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      expect(rig.written()).to.deep.equal([
        'log t Empty 0/0',
        'log t Ongoing 0/0 a-0 b-0',
        'log t Ongoing 0/0 a-0 a-1 b-0',
        'log t PrepareCommit 0/0 a-0 a-1 b-0',
        'commit a-0 0/0',
        'commit a-1 0/0',
        'commit b-0 0/0',
        'log t CompleteCommit 0/0',
      ]);
    });

    it('is aborted in the same way, and followed by the next under the same epoch', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      expect(await rig.abort('t', '0/0')).to.equal('NONE');
      expect(await rig.add('t', '0/0', 'a-1')).to.equal('NONE');
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      expect(rig.written().slice(2)).to.deep.equal([
        'log t PrepareAbort 0/0 a-0',
        'abort a-0 0/0',
        'log t CompleteAbort 0/0',
        'log t Ongoing 0/0 a-1',
        'log t PrepareCommit 0/0 a-1',
        'commit a-1 0/0',
        'log t CompleteCommit 0/0',
      ]);
    });

    it('has the partition of the offsets among its own when a group takes part', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      expect(await rig.addOffsets('t', '0/0')).to.equal('NONE');
      await rig.commit('t', '0/0');
      expect(rig.written()).to.include.members(['commit a-0 0/0', 'commit __consumer_offsets-0 0/0']);
    });

    it('does not log again a partition that it has', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0', 'a-1');
      rig.written();
      expect(await rig.add('t', '0/0', 'a-1')).to.equal('NONE');
      expect(rig.written()).to.deep.equal([]);
    });

    it('keeps to itself among those of other transactional ids', async () => {
      expect([await rig.init('t'), await rig.init('u')]).to.deep.equal(['0/0', '1/0']);
      await rig.add('t', '0/0', 'a-0');
      await rig.add('u', '1/0', 'a-0');
      await rig.commit('u', '1/0');
      expect([rig.status('t'), rig.status('u')]).to.deep.equal(['Ongoing 0/0', 'CompleteCommit 1/0']);
    });
  });

  describe('requests that overlap', () => {
    it('are answered CONCURRENT_TRANSACTIONS while the log has not taken the one before', async () => {
      await rig.init('t');
      rig.log.hold();
      const adding = rig.add('t', '0/0', 'a-0');
      expect(await rig.add('t', '0/0', 'a-1')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(await rig.commit('t', '0/0')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(await rig.init('t')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('INVALID_TXN_STATE');
      rig.log.release();
      expect(await adding).to.equal('NONE');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('NONE');
    });

    it('are answered CONCURRENT_TRANSACTIONS while markers are on their way', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.refusedMarkers.set('a-0', 'KAFKA_STORAGE_ERROR');
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      expect(await rig.commit('t', '0/0')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(await rig.abort('t', '0/0')).to.equal('INVALID_TXN_STATE');
      expect(await rig.add('t', '0/0', 'a-1')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(await rig.init('t')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('NOT_ENOUGH_REPLICAS');
    });

    it('make one transactional id when two producers are the first at once', async () => {
      const both = await Promise.all([rig.init('t'), rig.init('t')]);
      expect(both).to.have.members(['0/0', 'CONCURRENT_TRANSACTIONS']);
      expect(rig.coordinator.list()).to.have.length(1);
    });
  });

  describe('a retried EndTxn', () => {
    it('succeeds only for what was done', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      await rig.commit('t', '0/0');
      rig.written();
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      expect(await rig.abort('t', '0/0')).to.equal('INVALID_TXN_STATE');
      await rig.add('t', '0/0', 'a-0');
      await rig.abort('t', '0/0');
      rig.written();
      expect(await rig.abort('t', '0/0')).to.equal('NONE');
      expect(await rig.commit('t', '0/0')).to.equal('INVALID_TXN_STATE');
      expect(rig.written()).to.deep.equal([]);
    });

    it('ends nothing where nothing was begun', async () => {
      await rig.init('t');
      expect(await rig.commit('t', '0/0')).to.equal('INVALID_TXN_STATE');
      expect(await rig.abort('t', '0/0')).to.equal('INVALID_TXN_STATE');
    });
  });

  describe('a producer that starts', () => {
    it('fences the one before, aborts its transaction, and is told to come again meanwhile', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.written();
      expect(await rig.init('t')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(rig.written()).to.deep.equal(['log t PrepareAbort 0/1 a-0', 'abort a-0 0/1', 'log t CompleteAbort 0/1']);
      expect(await rig.commit('t', '0/0')).to.equal('PRODUCER_FENCED');
      expect(await rig.init('t')).to.equal('0/2');
      for (const fenced of ['0/0', '0/1']) {
        expect(await rig.add('t', fenced, 'a-0')).to.equal('PRODUCER_FENCED');
        expect(await rig.commit('t', fenced)).to.equal('PRODUCER_FENCED');
        expect(await rig.abort('t', fenced)).to.equal('PRODUCER_FENCED');
        expect(rig.verify('t', fenced, 'a-0')).to.equal('INVALID_PRODUCER_EPOCH');
      }
    });

    it('is told to come again until the last marker is written', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0', 'a-1');
      rig.refusedMarkers.set('a-1', 'KAFKA_STORAGE_ERROR');
      expect(await rig.init('t')).to.equal('CONCURRENT_TRANSACTIONS');
      await rig.clock.pass(minuteMs);
      expect(await rig.init('t')).to.equal('CONCURRENT_TRANSACTIONS');
      rig.refusedMarkers.clear();
      await rig.clock.pass(minuteMs);
      expect(await rig.init('t')).to.equal('0/2');
    });

    it('is refused without a transactional id, or with a timeout that is none or over the maximum', async () => {
      expect(await rig.init('')).to.equal('INVALID_REQUEST');
      expect(await rig.init('t', undefined, 0)).to.equal('INVALID_TRANSACTION_TIMEOUT');
      expect(await rig.init('t', undefined, -1)).to.equal('INVALID_TRANSACTION_TIMEOUT');
      expect(await rig.init('t', undefined, 15 * minuteMs + 1)).to.equal('INVALID_TRANSACTION_TIMEOUT');
      expect(await rig.init('t', undefined, 15 * minuteMs)).to.equal('0/0');
    });
  });

  describe('who a producer is', () => {
    it('has to be known', async () => {
      expect(await rig.add('t', '0/0', 'a-0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
      expect(await rig.commit('t', '0/0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
      await rig.init('t');
      expect(await rig.add('t', '9/0', 'a-0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
      expect(await rig.commit('t', '9/0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
      expect(rig.verify('t', '9/0', 'a-0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
    });

    it('has to be the last one to the epoch: one from the future is no better', async () => {
      await rig.init('t');
      expect(await rig.add('t', '0/1', 'a-0')).to.equal('PRODUCER_FENCED');
      expect(await rig.add('t', '0/-1', 'a-0')).to.equal('PRODUCER_FENCED');
      await rig.add('t', '0/0', 'a-0');
      expect(await rig.commit('t', '0/1')).to.equal('PRODUCER_FENCED');
      expect(rig.status('t')).to.equal('Ongoing 0/0');
    });

    it('matters not where the transactional id is empty', async () => {
      expect(await rig.add('', '0/0', 'a-0')).to.equal('INVALID_REQUEST');
      expect(await rig.addOffsets('', '0/0')).to.equal('INVALID_REQUEST');
      expect(await rig.commit('', '0/0')).to.equal('INVALID_REQUEST');
    });
  });

  describe('a write to a partition', () => {
    it('is refused unless the partition was added to a transaction that is open', async () => {
      await rig.init('t');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('INVALID_TXN_STATE');
      await rig.add('t', '0/0', 'a-0');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('NONE');
      expect(rig.verify('t', '0/0', 'a-1')).to.equal('INVALID_TXN_STATE');
      await rig.commit('t', '0/0');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('INVALID_TXN_STATE');
    });

    it('is refused with an error by which a client aborts, where the client knows it', async () => {
      await rig.init('t');
      expect(rig.verify('t', '0/0', 'a-0', true)).to.equal('TRANSACTION_ABORTABLE');
    });
  });

  describe('markers', () => {
    it('are written again to those partitions only that have none, until all have theirs', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0', 'a-1', 'b-0');
      rig.refusedMarkers.set('a-1', 'KAFKA_STORAGE_ERROR');
      rig.refusedMarkers.set('b-0', 'KAFKA_STORAGE_ERROR');
      rig.written();
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      await rig.clock.pass(minuteMs);
      rig.refusedMarkers.delete('b-0');
      await rig.clock.pass(minuteMs);
      rig.refusedMarkers.clear();
      await rig.clock.pass(minuteMs);
      expect(rig.written()).to.deep.equal([
        'log t PrepareCommit 0/0 a-0 a-1 b-0',
        'commit a-0 0/0',
        'commit b-0 0/0',
        'commit a-1 0/0',
        'log t CompleteCommit 0/0',
      ]);
      expect(await rig.add('t', '0/0', 'a-0')).to.equal('NONE');
    });

    it('are due no longer where a partition knows a later epoch of the producer', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0', 'a-1');
      rig.refusedMarkers.set('a-0', 'INVALID_PRODUCER_EPOCH');
      await rig.commit('t', '0/0');
      expect(rig.status('t')).to.equal('CompleteCommit 0/0');
    });

    it('are not written a second time because the log did not take that they were', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.written();
      rig.log.hold();
      const committing = rig.commit('t', '0/0');
      await settled();
      rig.log.refusals.push('before', 'before');
      rig.log.release();
      expect(await committing).to.equal('NONE');
      expect(rig.status('t')).to.equal('PrepareCommit 0/0');
      await rig.clock.pass(minuteMs);
      expect(rig.written()).to.deep.equal([
        'log t PrepareCommit 0/0 a-0',
        'commit a-0 0/0',
        'log t CompleteCommit 0/0',
      ]);
    });

    it('stop being tried when the broker stops', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.refusedMarkers.set('a-0', 'KAFKA_STORAGE_ERROR');
      await rig.commit('t', '0/0');
      await rig.coordinator.stop();
      rig.refusedMarkers.clear();
      rig.written();
      await rig.clock.pass(minuteMs);
      expect(rig.written()).to.deep.equal([]);
    });
  });

  describe('a log that refuses', () => {
    it('leaves all as it was, and the request may come again', async () => {
      await rig.init('t');
      rig.log.refusals.push('before');
      expect(await rig.add('t', '0/0', 'a-0')).to.equal('NOT_COORDINATOR');
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('INVALID_TXN_STATE');
      expect(await rig.add('t', '0/0', 'a-0')).to.equal('NONE');
      rig.log.refusals.push('before');
      expect(await rig.commit('t', '0/0')).to.equal('NOT_COORDINATOR');
      expect(rig.status('t')).to.equal('Ongoing 0/0');
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      rig.log.refusals.push('before');
      expect(await rig.init('t')).to.equal('NOT_COORDINATOR');
      expect(await rig.init('t')).to.equal('0/1');
    });

    it('leaves no trace of a transactional id that was to be the first time used', async () => {
      rig.log.refusals.push('before');
      expect(await rig.init('t')).to.equal('NOT_COORDINATOR');
      expect(rig.status('t')).to.equal(undefined);
      expect(await rig.init('t')).to.equal('1/0');
    });

    it('does not bring a fenced producer back, nor raise its epoch twice', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.log.refusals.push('before', 'before');
      expect(await rig.init('t')).to.equal('NOT_COORDINATOR');
      expect(await rig.commit('t', '0/0')).to.equal('PRODUCER_FENCED');
      expect(await rig.init('t')).to.equal('NOT_COORDINATOR');
      expect(await rig.init('t')).to.equal('CONCURRENT_TRANSACTIONS');
      expect(await rig.init('t')).to.equal('0/2');
      expect(rig.written()).to.include('abort a-0 0/1');
    });
  });

  describe('time', () => {
    it('aborts a transaction that is open for longer than its producer said, and fences the producer', async () => {
      await rig.init('t');
      await rig.clock.pass(timeoutMs);
      await rig.add('t', '0/0', 'a-0');
      await rig.clock.pass(timeoutMs / 2);
      await rig.add('t', '0/0', 'a-1');
      await rig.clock.pass(timeoutMs / 2);
      expect(rig.status('t')).to.equal('Ongoing 0/0');
      rig.written();
      await rig.clock.pass(aCheckMs);
      expect(rig.written()).to.deep.equal([
        'log t PrepareAbort 0/1 a-0 a-1',
        'abort a-0 0/1',
        'abort a-1 0/1',
        'log t CompleteAbort 0/1',
      ]);
      expect(await rig.commit('t', '0/0')).to.equal('PRODUCER_FENCED');
    });

    it('tries again to abort when the log refused', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.log.refusals.push('before', 'before');
      await rig.clock.pass(timeoutMs + 5 * aCheckMs);
      expect(rig.status('t')).to.equal('CompleteAbort 0/1');
    });

    it('does not abort what is being committed', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.log.hold();
      const committing = rig.commit('t', '0/0');
      await rig.clock.pass(2 * timeoutMs);
      rig.log.release();
      expect(await committing).to.equal('NONE');
      expect(rig.status('t')).to.equal('CompleteCommit 0/0');
    });

    it('has transactional ids forgotten that nobody has used for seven days', async () => {
      await rig.init('idle');
      await rig.init('done');
      await rig.add('done', '1/0', 'a-0');
      await rig.commit('done', '1/0');
      await rig.init('used');
      await rig.clock.leap(3 * dayMs);
      await rig.add('used', '2/0', 'a-0');
      await rig.abort('used', '2/0');
      await rig.clock.leap(4 * dayMs - minuteMs);
      expect(rig.coordinator.list()).to.have.length(3);
      rig.written();
      await rig.clock.leap(2 * minuteMs);
      expect(rig.written()).to.deep.equal(['log idle forgotten', 'log done forgotten']);
      expect(rig.coordinator.list().map(([id]) => id)).to.deep.equal(['used']);
      expect(await rig.commit('done', '1/0')).to.equal('INVALID_PRODUCER_ID_MAPPING');
      await rig.crash();
      expect(rig.coordinator.list().map(([id]) => id)).to.deep.equal(['used']);
    });

    it('forgets them later when the log refuses', async () => {
      await rig.init('t');
      rig.log.refusals.push('before');
      await rig.clock.leap(7 * dayMs);
      await rig.clock.pass(aCheckMs);
      expect(rig.written().filter((line) => line === 'log t forgotten')).to.have.length(1);
      expect(rig.status('t')).to.equal(undefined);
    });
  });

  describe('a restart', () => {
    it('finds a producer without a transaction, and its epoch', async () => {
      await rig.init('t');
      await rig.init('t');
      await rig.crash();
      expect(rig.status('t')).to.equal('Empty 0/1');
      expect(await rig.init('t')).to.equal('0/2');
    });

    it('finds an open transaction, which goes on', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      await rig.crash();
      expect(rig.verify('t', '0/0', 'a-0')).to.equal('NONE');
      expect(await rig.add('t', '0/0', 'a-1')).to.equal('NONE');
      rig.written();
      expect(await rig.commit('t', '0/0')).to.equal('NONE');
      expect(rig.written()).to.include.members(['commit a-0 0/0', 'commit a-1 0/0']);
    });

    it('counts the time of an open transaction from when it began', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      await rig.clock.pass(timeoutMs - 2 * aCheckMs);
      await rig.crash();
      await rig.clock.pass(4 * aCheckMs);
      expect(rig.status('t')).to.equal('CompleteAbort 0/1');
    });

    for (const action of ['commit', 'abort'] as const) {
      it(`finishes what was decided, with a marker for every partition: ${action}`, async () => {
        await rig.init('t');
        await rig.add('t', '0/0', 'a-0', 'a-1');
        rig.refusedMarkers.set('a-1', 'KAFKA_STORAGE_ERROR');
        await rig[action]('t', '0/0');
        rig.refusedMarkers.clear();
        rig.written();
        await rig.crash();
        const complete = action === 'commit' ? 'CompleteCommit' : 'CompleteAbort';
        expect(rig.written()).to.deep.equal([`${action} a-0 0/0`, `${action} a-1 0/0`, `log t ${complete} 0/0`]);
        expect(await rig[action]('t', '0/0')).to.equal('NONE');
      });

      it(`finishes what was in the log, though nobody was told so: ${action}`, async () => {
        await rig.init('t');
        await rig.add('t', '0/0', 'a-0');
        rig.log.hold();
        void rig[action]('t', '0/0');
        rig.written();
        await rig.crash();
        expect(rig.written()[0]).to.equal(`${action} a-0 0/0`);
      });

      it(`finds what is complete, and writes nothing: ${action}`, async () => {
        await rig.init('t');
        await rig.add('t', '0/0', 'a-0');
        await rig[action]('t', '0/0');
        rig.written();
        await rig.crash();
        expect(rig.written()).to.deep.equal([]);
        expect(await rig[action]('t', '0/0')).to.equal('NONE');
      });
    }

    it('starts although a marker cannot be written, and goes on trying', async () => {
      await rig.init('t');
      await rig.add('t', '0/0', 'a-0');
      rig.refusedMarkers.set('a-0', 'KAFKA_STORAGE_ERROR');
      await rig.commit('t', '0/0');
      await rig.crash();
      expect(rig.status('t')).to.equal('PrepareCommit 0/0');
      rig.refusedMarkers.clear();
      await rig.clock.pass(minuteMs);
      expect(rig.status('t')).to.equal('CompleteCommit 0/0');
    });

    it('passes over records that it cannot read, and says nothing of those it does not know', async () => {
      await rig.init('t');
      const [{ key, value }] = rig.log.entries as { key: Buffer; value: Buffer }[] as [{ key: Buffer; value: Buffer }];
      const damaged = (at: number, byte: number, from: Buffer): Buffer => {
        const copy = Buffer.from(from);
        copy[at] = byte;
        return copy;
      };
      const record = { kind: 'record' as const, timestampMs: 0, transaction: undefined };
      rig.log.entries.push(
        { ...record, key: damaged(1, 9, key), value },
        { ...record, key, value: damaged(1, 9, value) },
        { ...record, key, value: value.subarray(0, 20) },
        { ...record, key: Buffer.alloc(0), value },
        { ...record, key: null, value },
        { kind: 'marker', producer: { producerId: 0, producerEpoch: 0 }, commit: true },
      );
      await rig.crash();
      expect(rig.status('t')).to.equal('Empty 0/0');
    });
  });

  describe('what is asked too early or too late', () => {
    it('is refused, so that no transactional id seems new that is not', async () => {
      const early = new TransactionRig();
      const errors: string[] = [];
      const ask = async (from: TransactionRig): Promise<void> => {
        for (const question of [
          () => from.init('t'),
          () => from.add('t', '0/0', 'a-0'),
          () => from.commit('t', '0/0'),
          async () => from.verify('t', '0/0', 'a-0'),
          async () => from.status('t'),
          async () => from.coordinator.list(),
        ]) {
          await question().catch((error: KafkaError) => errors.push(error.error));
        }
      };
      await ask(early);
      expect(errors.splice(0)).to.deep.equal(Array(6).fill('COORDINATOR_LOAD_IN_PROGRESS'));
      await rig.coordinator.stop();
      await ask(rig);
      expect(errors).to.deep.equal(Array(6).fill('COORDINATOR_NOT_AVAILABLE'));
    });
  });
});
