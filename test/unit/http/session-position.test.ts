import { expect } from 'chai';
import fc from 'fast-check';
import { formatPosition, parsePositions } from '../../../src/http/session-position.ts';

describe('Bitacora-Position', () => {
  const entry = fc.tuple(fc.integer({ min: 0, max: 999_999 }), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));

  it('comes back as it went out, the highest position of each partition, in whatever order', () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 50 }), (entries) => {
        const expected = new Map<number, number>();
        for (const [partition, position] of entries) {
          expected.set(partition, Math.max(position, expected.get(partition) ?? 0));
        }
        const text = entries.map(([partition, position]) => formatPosition(partition, position));
        expect([...parsePositions(text.join(','))]).to.have.deep.members([...expected]);
        expect([...parsePositions(text.reverse().join(' , '))]).to.have.deep.members([...expected]);
      }),
    );
  });
});
