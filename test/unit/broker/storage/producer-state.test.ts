import { expect } from 'chai';
import fc from 'fast-check';
import { ProducerStates } from '../../../../src/broker/storage/producer-state.ts';
import { type BatchHeader, readHeader } from '../../../../src/protocol/record-batch.ts';
import { batchOf, failureOf } from './log-rig.ts';

const nowMs = 1_700_000_000_000;
const sequenceMax = 0x7fff_ffff;

interface Batch {
  readonly offset: number;
  readonly sequence: number;
  readonly count?: number;
  readonly epoch?: number;
  readonly producerId?: number;
  readonly isTransactional?: boolean;
}

function header({
  offset,
  sequence,
  count = 1,
  epoch = 0,
  producerId = 7,
  isTransactional = false,
}: Batch): BatchHeader {
  const texts = Array.from({ length: count }, () => 'v');
  const more = { baseOffset: offset, producerId, producerEpoch: epoch, baseSequence: sequence, isTransactional };
  return readHeader(batchOf(texts, { ...more, timestampMs: nowMs }));
}

describe('producer states', () => {
  let states: ProducerStates;
  beforeEach(() => {
    states = new ProducerStates();
  });

  const add = (batch: Batch): void => {
    expect(states.check(header(batch), true)).to.equal(undefined);
    states.add(header(batch), nowMs);
  };
  const refusal = (batch: Batch) => failureOf(() => states.check(header(batch), true));
  const marker = (producerEpoch: number, coordinatorEpoch = 0, producerId = 7) => ({
    producerId,
    producerEpoch,
    coordinatorEpoch,
    timestampMs: nowMs,
  });

  it('take any first sequence of a producer they do not know', () => {
    add({ offset: 0, sequence: 1_000 });
    add({ offset: 1, sequence: 1_001 });
  });

  it('refuse a sequence that leaves a gap, or that was passed long ago', async () => {
    for (let index = 0; index < 8; index += 1) add({ offset: index, sequence: index });
    expect(await refusal({ offset: 8, sequence: 9 })).to.equal('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(await refusal({ offset: 8, sequence: 2 })).to.equal('OUT_OF_ORDER_SEQUENCE_NUMBER');
  });

  it('know the last five batches again, and where they are', () => {
    for (let index = 0; index < 8; index += 1) add({ offset: index * 3, sequence: index * 3, count: 3 });
    for (let index = 3; index < 8; index += 1) {
      const seen = states.check(header({ offset: 99, sequence: index * 3, count: 3 }), true);
      expect(seen).to.include({ baseOffset: index * 3, lastOffset: index * 3 + 2 });
    }
  });

  it('do not take a batch for another of the same first sequence', async () => {
    add({ offset: 0, sequence: 0, count: 3 });
    expect(await refusal({ offset: 3, sequence: 0, count: 2 })).to.equal('OUT_OF_ORDER_SEQUENCE_NUMBER');
  });

  it('go on from 0 after the last sequence there is, within a batch too', () => {
    add({ offset: 0, sequence: sequenceMax });
    add({ offset: 1, sequence: 0 });
    states = new ProducerStates();
    add({ offset: 0, sequence: sequenceMax - 1, count: 4 });
    expect(states.check(header({ offset: 9, sequence: sequenceMax - 1, count: 4 }), true)?.lastOffset).to.equal(3);
    add({ offset: 4, sequence: 2 });
  });

  it('want a new epoch to begin at 0, and refuse an old one', async () => {
    add({ offset: 0, sequence: 5, epoch: 1 });
    expect(await refusal({ offset: 1, sequence: 6, epoch: 2 })).to.equal('OUT_OF_ORDER_SEQUENCE_NUMBER');
    add({ offset: 1, sequence: 0, epoch: 2 });
    expect(await refusal({ offset: 2, sequence: 6, epoch: 1 })).to.equal('INVALID_PRODUCER_EPOCH');
    // Even one that was taken before.
    expect(await refusal({ offset: 2, sequence: 5, epoch: 1 })).to.equal('INVALID_PRODUCER_EPOCH');
  });

  it('hold the last stable offset at the oldest open transaction', () => {
    add({ offset: 10, sequence: 0, isTransactional: true });
    add({ offset: 11, sequence: 0, isTransactional: true, producerId: 8 });
    add({ offset: 12, sequence: 1, isTransactional: true });
    expect(states.firstOpenOffset).to.equal(10);
    expect(states.addMarker(marker(0), 13, nowMs)).to.deep.equal({ producerId: 7, firstOffset: 10, lastOffset: 13 });
    expect(states.firstOpenOffset).to.equal(11);
    states.addMarker(marker(0, 0, 8), 14, nowMs);
    expect(states.firstOpenOffset).to.equal(undefined);
  });

  it('refuse a batch outside of the transaction that is open', async () => {
    add({ offset: 0, sequence: 0, isTransactional: true });
    expect(await refusal({ offset: 1, sequence: 1 })).to.equal('INVALID_TXN_STATE');
  });

  it('refuse markers of an old epoch of the producer or of the coordinator', async () => {
    add({ offset: 0, sequence: 0, epoch: 3, isTransactional: true });
    expect(await failureOf(() => states.checkMarker(marker(2)))).to.equal('INVALID_PRODUCER_EPOCH');
    states.addMarker(marker(3, 5), 1, nowMs);
    expect(await failureOf(() => states.checkMarker(marker(3, 4)))).to.equal('TRANSACTION_COORDINATOR_FENCED');
    states.checkMarker(marker(3, 5));
  });

  it('fence a producer by the marker of a newer epoch, whose batches then begin at 0', async () => {
    add({ offset: 0, sequence: 4, isTransactional: true });
    states.addMarker(marker(1), 1, nowMs);
    expect(await refusal({ offset: 2, sequence: 5 })).to.equal('INVALID_PRODUCER_EPOCH');
    expect(await refusal({ offset: 2, sequence: 5, epoch: 1 })).to.equal('OUT_OF_ORDER_SEQUENCE_NUMBER');
    add({ offset: 2, sequence: 0, epoch: 1 });
  });

  it('forget who was idle, unless a transaction of theirs is open', () => {
    add({ offset: 0, sequence: 0 });
    add({ offset: 1, sequence: 0, producerId: 8, isTransactional: true });
    states.expire(nowMs);
    expect(states.size).to.equal(2);
    states.expire(nowMs + 1);
    expect([...states.active()].map(({ producerId }) => producerId)).to.deep.equal([8]);
  });

  it('come back from their snapshot, and from no bytes that are not one', () => {
    add({ offset: 3, sequence: 2, count: 3, epoch: 4 });
    add({ offset: 20, sequence: 0, producerId: 8, isTransactional: true });
    add({ offset: 10, sequence: 0, producerId: 9, isTransactional: true });
    states.addMarker(marker(0, 6, 10), 21, nowMs);
    const snapshot = states.snapshot();
    const again = ProducerStates.parse(snapshot, nowMs)!;
    expect(again.snapshot()).to.deep.equal(snapshot);
    expect(again.firstOpenOffset).to.equal(10);
    expect(again.check(header({ offset: 50, sequence: 2, count: 3, epoch: 4 }), true)?.baseOffset).to.equal(3);
    fc.assert(
      fc.property(fc.nat(snapshot.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(snapshot);
        damaged[at]! ^= change;
        expect(ProducerStates.parse(damaged, nowMs)).to.equal(undefined);
        expect(ProducerStates.parse(snapshot.subarray(0, at), nowMs)).to.equal(undefined);
      }),
    );
  });
});
