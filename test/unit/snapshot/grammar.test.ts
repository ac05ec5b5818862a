import { readFile } from 'node:fs/promises';
import { crc32c } from '@node-rs/crc32';
import { expect } from 'chai';
import { keyHash } from '../../../src/store/key-hash.ts';
import { keyCount, reach, SnapshotRig, subject } from '../../support/snapshot-rig.ts';

/** Takes bytes from the front, as docs/SNAPSHOT.md has them. */
class Bytes {
  at = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  uint32(): number {
    this.at += 4;
    return this.#buffer.readUInt32LE(this.at - 4);
  }

  float64(): number {
    this.at += 8;
    return this.#buffer.readDoubleLE(this.at - 8);
  }

  uint48(): number {
    this.at += 6;
    return this.#buffer.readUIntLE(this.at - 6, 6);
  }

  byte(): number {
    this.at += 1;
    return this.#buffer[this.at - 1]!;
  }

  varint(): number {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = this.byte();
      value += (byte % 128) * unit;
      if (byte < 128) return value;
    }
  }

  text(length: number): string {
    this.at += length;
    return this.#buffer.toString('utf8', this.at - length, this.at);
  }
}

/** The entry and its key; `start` is where the block's entries begin. */
function takeEntry(bytes: Bytes, start: number, ordered: boolean): { key: string; fields: Record<string, unknown> } {
  const head = bytes.varint();
  const [keyLength, valueLength] = [bytes.varint(), bytes.varint()];
  const fields: Record<string, unknown> = { partition: Math.floor(head / 4), offset: bytes.varint() };
  if (ordered) fields.id = bytes.uint32();
  const traits = (head & 2) === 0 ? 0 : bytes.byte();
  fields.timestampMs = (traits & 8) === 0 ? bytes.uint48() : bytes.float64();
  if ((traits & 2) !== 0) fields.droppableAtMs = bytes.float64();
  if ((traits & 4) !== 0) fields.contentType = bytes.text(bytes.varint());
  const key = bytes.text(keyLength);
  if ((traits & 1) === 0) fields.value = bytes.text(valueLength);
  bytes.at = start + Math.ceil((bytes.at - start) / 8) * 8;
  return { key, fields };
}

describe('bytes of a snapshot', () => {
  for (const ordered of [true, false]) {
    it(`are those of docs/SNAPSHOT.md (${ordered ? 'in order' : 'in no order'})`, async () => {
      const rig = new SnapshotRig({ ordered });
      await rig.open();
      try {
        await rig.write('mark');
        const file = await readFile(rig.path);
        const bytes = new Bytes(file);
        expect(bytes.text(8)).to.equal('BITASNP\x01');
        const header = JSON.parse(bytes.text(bytes.uint32())) as Record<string, unknown>;
        expect(header).to.deep.equal({ ...subject, entryLayout: 1, ordered, seed: [7, -8] });
        expect(crc32c(file.subarray(0, bytes.at))).to.equal(bytes.uint32());

        const footer = new Bytes(file.subarray(-20));
        const [rows, summaryLength, tailSum] = [footer.uint32(), footer.uint32(), footer.uint32()];
        expect(footer.text(8)).to.equal('BITAEND\x01');
        const indexAt = file.length - 20 - summaryLength - rows * 24;
        expect(crc32c(file.subarray(indexAt, -12))).to.equal(tailSum);
        const index = new Bytes(file.subarray(indexAt));

        const found = new Map<string, Record<string, unknown>>();
        let lastHash = 0;
        for (let row = 0; row < rows; row += 1) {
          const [count, entryBytes, sum] = [index.uint32(), index.uint32(), index.uint32()];
          const counts = [index.uint32(), index.uint32(), index.uint32()];
          expect(crc32c(file.subarray(bytes.at, bytes.at + 8 * count + entryBytes))).to.equal(sum);
          const slots = Array.from({ length: count }, () => ({ hash: bytes.uint32(), granule: bytes.uint32() }));
          const start = bytes.at;
          let [tombstones, keyBytes, valueBytes] = [0, 0, 0];
          for (const { hash, granule } of slots) {
            expect(bytes.at).to.equal(start + 8 * granule);
            const { key, fields } = takeEntry(bytes, start, ordered);
            const { id, ...rest } = fields;
            if (ordered) expect(id).to.equal(found.size);
            expect(keyHash([7, -8])(Buffer.from(key), 0, key.length) >>> 0).to.equal(hash);
            expect(hash).to.be.at.least(lastHash);
            lastHash = hash;
            expect(found.has(key)).to.equal(false);
            found.set(key, rest);
            keyBytes += key.length;
            if (rest.value === undefined) tombstones += 1;
            else valueBytes += (rest.value as string).length;
          }
          expect(bytes.at).to.equal(start + entryBytes);
          expect([tombstones, keyBytes, valueBytes]).to.deep.equal(counts);
        }
        expect(bytes.at).to.equal(indexAt);
        const { entries, tombstones, keyBytes, valueBytes, ...rest } = JSON.parse(index.text(summaryLength));
        expect(rest).to.deep.equal(reach());
        expect([entries, tombstones]).to.deep.equal([keyCount, 5]);
        const all = [...found];
        expect(keyBytes).to.equal(all.reduce((total, [key]) => total + key.length, 0));
        expect(valueBytes).to.equal(all.reduce((total, [, { value }]) => total + ((value as string)?.length ?? 0), 0));

        expect(found.get('key-1')).to.deep.include({
          partition: 0,
          offset: 1,
          timestampMs: 1_000,
          value: 'mark.'.padEnd(20, 'v'),
        });
        expect(found.get('key-3')).to.deep.include({ timestampMs: -1 });
        expect(found.get('key-7')).to.deep.equal({ partition: 0, offset: 7, timestampMs: 0, droppableAtMs: 2_000 });
        expect(found.get('key-30')).to.deep.include({ droppableAtMs: 5_000, contentType: 'text/plain' });
      } finally {
        await rig.close();
      }
    });
  }
});
