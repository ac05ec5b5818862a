import { expect } from 'chai';
import * as types from '../../../src/cli/value-types.ts';
import { ExpectationError, type OptionType } from '../../../src/config/option-types.ts';

function refuses(type: OptionType<unknown>, texts: readonly string[]): void {
  for (const text of texts) expect(() => type.parse(text), text).to.throw(ExpectationError);
}

describe('a value of the command line', () => {
  it('name=value ends its name at the first equals sign', () => {
    expect(types.nameValue.parse('a=b=c')).to.deep.equal(['a', 'b=c']);
    expect(types.nameValue.parse('a=')).to.deep.equal(['a', '']);
    refuses(types.nameValue, ['', 'a', '=b']);
  });

  it('a separator is any text, with \\t for a tab', () => {
    expect(types.separator.parse('\\t')).to.equal('\t');
    expect(types.separator.parse(' -> ')).to.equal(' -> ');
    refuses(types.separator, ['']);
  });

  it('partitions of a topic are all, or a list of which each counts once', () => {
    expect(types.topicPartitions.parse('a.b-c_d')).to.deep.equal({ topic: 'a.b-c_d', partitions: undefined });
    expect(types.topicPartitions.parse('a:2,0,2')).to.deep.equal({ topic: 'a', partitions: [2, 0] });
    refuses(types.topicPartitions, ['', ':1', 'a:', 'a:1,', 'a:x', 'a:-1', 'a b', 'a:1:2']);
  });

  it('a target is a word, an offset, a time or marked milliseconds, and never a guess between them', () => {
    expect(types.offsetTarget.parse('earliest')).to.deep.equal({ kind: 'earliest' });
    expect(types.offsetTarget.parse('latest')).to.deep.equal({ kind: 'latest' });
    expect(types.offsetTarget.parse('1700000000000')).to.deep.equal({ kind: 'offset', offset: 1_700_000_000_000 });
    const time = { kind: 'time', timestampMs: 1_700_000_000_000 };
    expect(types.offsetTarget.parse('@1700000000000')).to.deep.equal(time);
    expect(types.offsetTarget.parse('2023-11-14T22:13:20Z')).to.deep.equal(time);
    expect(types.offsetTarget.parse('2023-11-14T23:13:20.000+01:00')).to.deep.equal(time);
    expect(types.offsetTarget.parse('2023-11-14')).to.deep.equal({ kind: 'time', timestampMs: 1_699_920_000_000 });
    refuses(types.offsetTarget, ['', '-1', 'end', '@', '@x', '1.5', '2023-11', '2023-13-01', '14 Nov 2023', '1e3']);
  });

  it('a start is an offset, or a number of records before the end', () => {
    expect(types.startOffset.parse('0')).to.equal(0);
    expect(types.startOffset.parse('-10')).to.equal(-10);
    refuses(types.startOffset, ['', '-', '-0', '1.5', 'end', '9'.repeat(16)]);
  });
});
