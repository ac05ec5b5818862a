import { expect } from 'chai';
import { formatRecords } from '../../../src/cli/record-format.ts';
import type { LoggedRecord } from '../../../src/cli/record-json.ts';

function record(key: Buffer | null, value: Buffer | null): LoggedRecord {
  return { topic: 't', partition: 0, offset: 1, timestampMs: 2, key, value, headers: new Map() };
}

const records = [
  record(Buffer.from('a'), Buffer.from([0xff, 0x00])),
  record(null, null),
  record(Buffer.alloc(0), Buffer.from('b')),
];

describe('records on standard output', () => {
  it('are the bytes of their values, each with a line feed', () => {
    const output = formatRecords(records, { format: 'value', keySeparator: '\t', nullValue: '' });
    expect(output).to.deep.equal(Buffer.from('\xff\x00\n\nb\n', 'latin1'));
  });

  it('have keys before them when asked, and a word for null', () => {
    const output = formatRecords(records, { format: 'key-value', keySeparator: ': ', nullValue: 'NULL' });
    expect(output).to.deep.equal(Buffer.from('a: \xff\x00\nNULL: NULL\n: b\n', 'latin1'));
  });

  it('are one line of JSON each', () => {
    const lines = formatRecords(records, { format: 'json', keySeparator: '\t', nullValue: '' }).toString().split('\n');
    expect(lines.pop()).to.equal('');
    expect(lines.map((line) => JSON.parse(line).key)).to.deep.equal(['a', null, '']);
  });
});
