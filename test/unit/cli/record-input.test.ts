import { expect } from 'chai';
import fc from 'fast-check';
import { type LineRules, LineSplitter, recordReader, wholeRecord } from '../../../src/cli/record-input.ts';
import { FatalError } from '../../../src/kernel/errors.ts';

const rules: LineRules = {
  format: 'line',
  keySeparator: undefined,
  key: undefined,
  headers: [],
  partition: undefined,
  nullValue: undefined,
};

function recordsOf(lines: readonly string[], changed: Partial<LineRules>) {
  return recordReader({ ...rules, ...changed })(
    lines.map((line) => Buffer.from(line)),
    0,
  );
}

describe('lines of input', () => {
  it('are the same however the stream is cut into chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array().map((array) => Buffer.from(array).filter((byte) => byte !== 0x0a))),
        fc.boolean(),
        fc.array(fc.nat({ max: 20 })),
        (lines, endsWithNewline, cuts) => {
          const wanted = lines.map((line) => Buffer.from(line));
          // An empty rest after the last line feed is no line.
          if (!endsWithNewline && wanted.at(-1)?.length === 0) wanted.pop();
          const text = Buffer.concat(lines.flatMap((line) => [Buffer.from(line), Buffer.from('\n')]));
          const stream = endsWithNewline || text.length === 0 ? text : text.subarray(0, -1);
          const splitter = new LineSplitter(1_000_000);
          const found: Buffer[] = [];
          const take = ({ before, lines }: { before: number; lines: Buffer[] }): void => {
            expect(before).to.equal(found.length);
            found.push(...lines);
          };
          let at = 0;
          for (const cut of cuts) {
            take(splitter.push(stream.subarray(at, at + cut)));
            at += cut;
          }
          take(splitter.push(stream.subarray(at)));
          take(splitter.finish());
          expect(found.map((line) => line.toString('hex'))).to.deep.equal(wanted.map((line) => line.toString('hex')));
        },
      ),
    );
  });

  it('keep a carriage return: it may be part of the value', () => {
    expect(new LineSplitter(10).push(Buffer.from('a\r\n')).lines.map(String)).to.deep.equal(['a\r']);
  });

  it('do not fill the memory when there is no line feed', () => {
    const splitter = new LineSplitter(10);
    splitter.push(Buffer.from('one\n1234567890'));
    expect(() => splitter.push(Buffer.from('1'))).to.throw(FatalError, 'line 2 of the input is longer than 10 bytes');
  });

  it('are values by themselves', () => {
    expect(recordsOf(['a=b', ''], {}).map(({ key, value }) => [key, String(value)])).to.deep.equal([
      [null, 'a=b'],
      [null, ''],
    ]);
  });

  it('are keys and values with a separator, which counts once', () => {
    const records = recordsOf(['a->b->c', '->', 'k->'], { keySeparator: '->' });
    expect(records.map(({ key, value }) => [String(key), String(value)])).to.deep.equal([
      ['a', 'b->c'],
      ['', ''],
      ['k', ''],
    ]);
  });

  it('without the separator are refused by their number', () => {
    const read = recordReader({ ...rules, keySeparator: '=' });
    expect(() => read([Buffer.from('a=1'), Buffer.from('b')], 40)).to.throw(
      FatalError,
      /^line 42 of the input: no key sep/,
    );
  });

  it('are tombstones where the value is the text for null, and only where all of it is', () => {
    const records = recordsOf(['a=NULL', 'b=NULLS', 'NULL=x'], { keySeparator: '=', nullValue: 'NULL' });
    expect(records.map(({ value }) => value?.toString() ?? null)).to.deep.equal([null, 'NULLS', 'x']);
    expect(recordsOf(['', 'a'], { nullValue: '' }).map(({ value }) => value?.toString() ?? null)).to.deep.equal([
      null,
      'a',
    ]);
  });

  it('all get the key, the partition and the headers of the command, repeated names among them', () => {
    const headers = [
      ['a', '1'],
      ['b', ''],
      ['a', '2'],
    ] as const;
    const [first, second] = recordsOf(['x', 'y'], { key: 'k', partition: 3, headers });
    for (const record of [first!, second!]) {
      expect([String(record.key), record.partition]).to.deep.equal(['k', 3]);
      const texts = [...record.headers].map(([name, values]) => [name, values.map(String)]);
      expect(texts).to.deep.equal([
        ['a', ['1', '2']],
        ['b', ['']],
      ]);
    }
  });

  it('of JSON are refused by their number', () => {
    const read = recordReader({ ...rules, format: 'json' });
    expect(() => read([Buffer.from('{"value":"a"}'), Buffer.from('{}')], 0)).to.throw(
      FatalError,
      'line 2 of the input: no value',
    );
  });
});

describe('the whole input as a value', () => {
  it('is left as it is, line feeds and all', () => {
    const value = Buffer.from([0x0a, 0xff, 0x00, 0x0a]);
    expect(wholeRecord(value, { ...rules, key: 'k' })).to.deep.include({ key: Buffer.from('k'), value });
  });
});
