import { expect } from 'chai';
import fc from 'fast-check';
import { OffsetMap } from '../../../../src/broker/storage/offset-map.ts';

describe('offset map', () => {
  it('agrees with a Map', () => {
    const key = fc.uint8Array({ maxLength: 3 });
    fc.assert(
      fc.property(fc.array(key, { maxLength: 3_000, size: 'max' }), (keys) => {
        const map = new OffsetMap(1024 * 1024);
        const model = new Map<string, number>();
        for (const [offset, bytes] of keys.entries()) {
          const around = Buffer.concat([Buffer.from('<'), bytes, Buffer.from('>')]);
          map.put(around, 1, bytes.length, offset + 2 ** 40);
          model.set(Buffer.from(bytes).toString('hex'), offset + 2 ** 40);
        }
        expect(map.size).to.equal(model.size);
        for (const [hex, offset] of model) {
          const bytes = Buffer.from(hex, 'hex');
          expect(map.get(bytes, 0, bytes.length)).to.equal(offset);
        }
        expect(map.get(Buffer.from('absent'), 0, 6)).to.equal(-1);
      }),
      { numRuns: 30 },
    );
  });

  it('is full when keys and places take what it may take', () => {
    const map = new OffsetMap(104_000);
    let count = 0;
    for (; !map.isFull; count += 1) map.put(Buffer.from(String(count).padStart(76, '0')), 0, 76, count);
    expect(count).to.equal(1_000);
  });
});
