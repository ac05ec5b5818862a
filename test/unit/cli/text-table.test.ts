import { expect } from 'chai';
import { textTable } from '../../../src/cli/text-table.ts';

describe('a table for people', () => {
  it('aligns text to the left and numbers to the right, with a dash for what is not known', () => {
    const table = textTable(
      ['NAME', 'COUNT', 'NOTE'],
      [
        ['a', 5, ''],
        ['longer', 12_345, 'x'],
        ['b', undefined, undefined],
      ],
    );
    expect(table.split('\n')).to.deep.equal([
      'NAME    COUNT  NOTE',
      'a           5  -',
      'longer  12345  x',
      'b           -  -',
    ]);
  });

  it('is its headings where there is nothing', () => {
    expect(textTable(['A', 'B'], [])).to.equal('A  B');
  });
});
