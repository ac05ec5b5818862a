import { expect } from 'chai';
import fc from 'fast-check';
import { scanEncoder, UnreadPage } from '../../../src/avro/scan-encoder.ts';
import { ownProtocol } from '../../../src/avro/wire/protocol.ts';
import type { KeyRange, Scan, ScanPage, StoredValue } from '../../../src/database/database.ts';

const { responseType } = ownProtocol('database.avpr').messages.get('scan')!;
const numbers = fc
  .oneof(fc.maxSafeNat(), fc.nat(300), fc.integer({ min: 2 ** 29, max: 2 ** 33 }))
  .map((n) => n % 2 ** 52);
const times = fc.oneof(numbers, fc.constant(-1), fc.integer());
const bytes = fc
  .oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(20_000).fill(0xff)))
  .map((array) => Buffer.from(array));

const entries = fc
  .record({
    key: bytes,
    value: bytes,
    partition: fc.nat(),
    offset: numbers,
    timestampMs: times,
    expiresAtMs: fc.option(times, { nil: undefined }),
    contentType: fc.option(fc.string({ unit: 'binary', maxLength: 50 }), { nil: undefined }),
  })
  .map(({ key, value, ...version }): readonly [Buffer, StoredValue] => [
    key,
    { ...version, value, latin1: value.toString('latin1') },
  ]);

const pages = fc.record({
  entries: fc.array(entries, { maxLength: 12 }),
  after: fc.option(bytes, { nil: undefined }),
});

/** What a scan is to the encoder. */
class Told {
  reads = 0;
  readonly positions: readonly number[];
  readonly #page: ScanPage;

  constructor(page: ScanPage, positions: readonly number[]) {
    this.#page = page;
    this.positions = positions;
  }

  page(): ScanPage {
    this.reads += 1;
    return this.#page;
  }
}

function unread(told: Told, range: KeyRange): UnreadPage {
  return new UnreadPage(told as unknown as Scan, range);
}

function byAvsc({ entries, after }: ScanPage, positions: readonly number[], keysOnly: boolean): Buffer {
  return responseType.toBuffer({
    entries: entries.map(([key, { value, expiresAtMs, contentType, ...version }]) => ({
      ...version,
      key,
      value: keysOnly ? null : value,
      expiresAtMs: expiresAtMs ?? null,
      contentType: contentType ?? null,
    })),
    after: after ?? null,
    positions: positions.map((position, partition) => ({ partition, position })),
  });
}

describe('the encoder of pages of scans', () => {
  it('writes what avsc writes, where it is told to, and says without room by how much it falls short', () => {
    fc.assert(
      fc.property(
        pages,
        fc.array(numbers, { maxLength: 5 }),
        fc.boolean(),
        fc.nat(100),
        fc.nat(2_000),
        (page, positions, keysOnly, at, room) => {
          const expected = byAvsc(page, positions, keysOnly);
          const told = new Told(page, positions);
          const value = unread(told, { limit: 1, keysOnly });
          let buffer = Buffer.alloc(at + room, 0xaa);
          let end = scanEncoder.encode(value, buffer, at);
          if (end < 0) {
            expect(buffer.every((byte) => byte === 0xaa)).to.equal(true);
            buffer = Buffer.alloc(at + room - end, 0xaa);
            end = scanEncoder.encode(value, buffer, at);
          }
          expect(buffer.subarray(at, end)).to.deep.equal(expected);
          expect(buffer.subarray(0, at).every((byte) => byte === 0xaa)).to.equal(true);
          expect(buffer.subarray(end).every((byte) => byte === 0xaa)).to.equal(true);
          // A page that is read a second time may be another one.
          expect(told.reads).to.equal(1);
        },
      ),
    );
  });

  it('reads the page when it writes it and not before', () => {
    const told = new Told({ entries: [], after: undefined }, []);
    const value = unread(told, { limit: 1 });
    expect(told.reads).to.equal(0);
    scanEncoder.encode(value, Buffer.alloc(300), 0);
    expect(told.reads).to.equal(1);
  });
});
