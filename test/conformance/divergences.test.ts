import { expect } from 'chai';
import { divergences, parseDivergences } from '../support/conformance/divergences.ts';

describe('docs/DIVERGENCES.md', () => {
  it('gives each divergence once, with what differs and why', () => {
    const named = divergences.map(({ client, test }) => `${client}: ${test}`);
    expect(named).to.have.length.greaterThan(0);
    expect(new Set(named).size).to.equal(named.length);
  });

  it('is read without the head of its table and the quotes of its code', () => {
    const head = ['# Title', '| Client | Test | What | Why |', '|---|---|---|---|'];
    expect(parseDivergences([...head, '| a | `b/c` | d | e |', 'text'].join('\n'))).to.deep.equal([
      { client: 'a', test: 'b/c', differs: 'd', why: 'e' },
    ]);
    expect(() => parseDivergences([...head, '| a | b | c |'].join('\n'))).to.throw('not a divergence');
    expect(() => parseDivergences([...head, '| a | b | c |  |'].join('\n'))).to.throw('not a divergence');
  });
});
