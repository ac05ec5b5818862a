import { crc32c } from '@node-rs/crc32';
import { expect } from 'chai';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { Delivery } from '../../../../src/log/wire/delivery.ts';
import { fetchedBatches } from '../../../../src/log/wire/fetched-batches.ts';
import { PartitionCursor } from '../../../../src/log/wire/partition-cursor.ts';
import { TransactionFilter } from '../../../../src/log/wire/transaction-filter.ts';
import { UnreadableBatchError } from '../../../../src/log/wire/unreadable-batch.ts';
import { assignOffset, readHeader } from '../../../../src/protocol/record-batch.ts';
import { goldenBatches } from '../../../support/protocol/golden.ts';
import { mutated, Random } from '../../../support/protocol/mutations.ts';
import { copyRecords } from '../../../support/read-log.ts';

/** What Kafka wrote, of every codec, one behind the other from offset 0 on. */
function goldenLog(): Buffer[] {
  let offset = 0;
  return [...goldenBatches().values()].map((golden) => {
    const bytes = Buffer.from(golden);
    assignOffset(bytes, 0, offset, 3);
    offset = readHeader(bytes).lastOffset + 1;
    return bytes;
  });
}

/** So that it is not the CRC alone that finds what is wrong. */
function withSoundCrc(bytes: Buffer): Buffer {
  if (bytes.length > 21) bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

/** The offsets that are handed on, and how it ends. */
async function deliver(records: Buffer, position: number) {
  const cursor = new PartitionCursor(0, { offset: position, leaderEpoch: -1 });
  const offsets: number[] = [];
  const delivery = new Delivery({
    topic: 'topic',
    handler: {
      onBatch: async (slices) => {
        offsets.push(...copyRecords(slices).map(({ offset }) => offset));
        expect(slices.nextOffset).to.be.greaterThan(offsets.at(-1)!);
      },
      onGap: (_partition, nextOffset) => expect(nextOffset).to.be.greaterThan(offsets.at(-1) ?? -1),
      onDisturbance: () => undefined,
      onLineageLost: () => undefined,
    },
    clock: systemClock,
    unpackedBytesMax: 1024 * 1024,
    signal: new AbortController().signal,
  });
  const found = fetchedBatches(records, position);
  let error: unknown;
  try {
    await delivery.deliver({ cursor, fromOffset: position, records, found, filter: new TransactionFilter(null) });
  } catch (caught) {
    error = caught;
  }
  return { offsets, error, cursor, found };
}

describe('what was fetched', () => {
  it('is handed on whole, whatever packed it, and the position is behind it', async () => {
    const log = goldenLog();
    const { offsets, error, cursor } = await deliver(Buffer.concat(log), 0);
    const expected = log.flatMap((bytes) => {
      const { isControl, baseOffset, count, lastOffset } = readHeader(bytes);
      return isControl || count === 0 || lastOffset - baseOffset + 1 !== count
        ? []
        : Array.from({ length: count }, (_, i) => baseOffset + i);
    });
    expect(error).to.equal(undefined);
    expect(offsets).to.include.members(expected);
    expect(cursor.position).to.equal(readHeader(log.at(-1)!).lastOffset + 1);
    expect(cursor.readEpoch).to.equal(3);
  });

  it('is handed on or refused, in order and by a typed error, whatever the bytes are', async () => {
    const log = goldenLog();
    const random = new Random(5);
    const reasons = new Map<string, number>();
    let sound = 0;
    for (let round = 0; round < 4_000; round += 1) {
      const at = random.below(log.length);
      const damaged = withSoundCrc(mutated(log[at]!, random));
      const position = readHeader(log[at]!).baseOffset;
      const { offsets, error, cursor } = await deliver(Buffer.concat([damaged, ...log.slice(at + 1)]), position);
      expect(offsets).to.deep.equal([...new Set(offsets)].sort((a, b) => a - b));
      expect(cursor.position).to.be.at.least(Math.max(position, (offsets.at(-1) ?? -1) + 1));
      if (error === undefined) sound += 1;
      else {
        expect(error).to.be.instanceOf(UnreadableBatchError);
        const { reason } = error as UnreadableBatchError;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    // Each way of being wrong is met, and so is being right.
    expect([...reasons.keys()]).to.include.members(['crc', 'format', 'old_format', 'codec']);
    expect(sound).to.be.greaterThan(100);
  });
});
