import { expect } from 'chai';
import fc from 'fast-check';
import { fetchResponse } from '../../../src/protocol/messages/fetch.ts';
import {
  arrayOf,
  bytes,
  float64,
  includesVersion,
  int16,
  int32,
  int64,
  type Message,
  message,
  string,
  struct,
  structs,
  uint16,
  versionRange,
} from '../../../src/protocol/schema.ts';
import { elementsMax, WireError, WireWriter } from '../../../src/protocol/wire.ts';

const sample = message(
  'Sample',
  0,
  { versions: '0-3', flexible: '2+' },
  {
    name: string('0+', { nullable: '1+' }),
    numbers: arrayOf(int32)('0+', { nullable: '1+' }),
    data: bytes('1+', { nullable: '2+' }),
    parts: structs({ id: int16('0+', { default: 7 }), inner: struct({ x: int32('0+') })('3+') })('0+'),
    maybe: struct({ y: int64('0+') })('3+', { nullable: '3+', default: null }),
    late: int32('2+', { tag: 1, default: -1 }),
    later: struct({ a: int16('2+'), b: string('2+') })('2+', { tag: 4 }),
    ports: arrayOf(uint16)('2+', { tag: 6 }),
    share: float64('2+', { tag: 9 }),
  },
);

function encoded(described: Message, value: unknown, version: number): Buffer {
  const writer = new WireWriter(1);
  described.encode(writer, value as never, version);
  return writer.finish();
}

const hexOf = (value: unknown, version: number): string => encoded(sample, value, version).toString('hex');
const read = (hex: string, version: number) => sample.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'), version);

describe('schemas', () => {
  it('read versions as Kafka writes them', () => {
    expect(versionRange('3')).to.deep.equal({ from: 3, to: 3 });
    expect(versionRange('0-14')).to.deep.equal({ from: 0, to: 14 });
    expect(versionRange('12+')).to.deep.equal({ from: 12, to: Number.POSITIVE_INFINITY });
    expect([0, 1, 2].map((version) => includesVersion('none', version))).to.deep.equal([false, false, false]);
  });

  it('give the defaults of what a version does not have, and of what was left out', () => {
    expect(read('0000 00000000 00000000', 0)).to.deep.equal({
      name: '',
      numbers: [],
      data: Buffer.alloc(0),
      parts: [],
      maybe: null,
      late: -1,
      later: { a: 0, b: '' },
      ports: [],
      share: 0,
    });
    expect(hexOf({}, 0)).to.equal('00000000000000000000');
    expect(hexOf({ parts: [{}] }, 0)).to.equal('000000000000000000010007');
    expect(hexOf({ parts: [{}] }, 3)).to.equal('0101010200070000000000' + '00ff00');
  });

  it('give each message arrays of its own, and structures that nobody can change for the others', () => {
    const [one, other] = [read('0000 00000000 00000000', 0), read('0000 00000000 00000000', 0)];
    one.numbers!.push(1);
    expect(other.numbers).to.deep.equal([]);
    expect(() => {
      one.later.a = 1;
    }).to.throw(TypeError);
  });

  it('know null from empty, in both forms of a length', () => {
    expect(read('ffff ffffffff 00000000 00000000', 1)).to.deep.include({ name: null, numbers: null });
    expect(read('00 00 00 01 00', 2)).to.deep.include({ name: null, numbers: null, data: null, parts: [] });
    expect(hexOf({ name: null, numbers: null, data: null }, 2)).to.equal('0000000100');
    expect(read('00 00 00 01 ff 00', 3)).to.deep.include({ maybe: null });
    expect(read('00 00 00 01 01 0000000000000005 00 00', 3)).to.deep.include({ maybe: { y: 5 } });
    expect(hexOf({ maybe: { y: 5 } }, 3)).to.equal('01010101010000000000000005' + '0000');
  });

  it('refuse null where a version has none', () => {
    expect(() => read('ffff 00000000 00000000', 0)).to.throw(WireError, 'a string is null');
    expect(() => read('0000 ffffffff 00000000', 0)).to.throw(WireError, 'an array is null');
    expect(() => read('0000 00000000 ffffffff 00000000', 1)).to.throw(WireError, 'bytes is null');
    expect(() => read('01 01 01 00 00', 2)).to.throw(WireError, 'an array is null');
    expect(() => read('fffe 00000000 00000000 00000000', 1)).to.throw(WireError, 'length of -2');
    for (const field of ['name', 'numbers', 'parts']) {
      expect(() => hexOf({ [field]: null }, 0), field).to.throw(TypeError, 'may not be null');
    }
    expect(() => hexOf({ data: null }, 1)).to.throw(TypeError, 'may not be null');
  });

  it('leave tagged fields out that have their defaults, and write the others in the order of their tags', () => {
    expect(hexOf({ late: -1, later: { a: 0 }, ports: [], share: 0 }, 2)).to.equal('0101010100');
    const value = { ports: [80], late: 3, later: { b: 'x' }, share: 0.5 };
    const written = hexOf(value, 2);
    expect(written).to.equal(
      [
        '01010101',
        '04',
        '0104',
        '00000003',
        '0405',
        '0000',
        '0278',
        '00',
        '0603',
        '020050',
        '0908',
        '3fe0000000000000',
      ].join(''),
    );
    expect(read(written, 2)).to.deep.include({ ...value, later: { a: 0, b: 'x' } });
  });

  it('pass over tagged fields that they do not know', () => {
    expect(read('01 01 01 01 02 01 04 00000009 63 03 616263', 2).late).to.equal(9);
  });

  it('refuse tagged fields that are out of order, twice there, or not as long as they say', () => {
    expect(() => read('01 01 01 01 02 05 00 01 04 00000009', 2)).to.throw(WireError, 'field 1 comes after 5');
    expect(() => read('01 01 01 01 02 01 04 00000009 01 04 00000009', 2)).to.throw(WireError, '1 comes after 1');
    expect(() => read('01 01 01 01 01 01 05 0000000900', 2)).to.throw(WireError, 'longer than what it holds');
    expect(() => read('01 01 01 01 01 01 03 00000900', 2)).to.throw(WireError, '4 bytes are announced');
    expect(() => read('01 01 01 01 01 01 ffffffff0f 00000009', 2)).to.throw(WireError);
    expect(() => read('01 01 01 01 ffffffff0f', 2)).to.throw(WireError);
  });

  it('refuse a length beyond what is there before anything is made of it', () => {
    expect(() => read('0000 7fffffff 00000000', 0)).to.throw(WireError, '2147483647 elements are in 4 bytes');
    expect(() => read('01 ffffffff0f 01', 2)).to.throw(WireError, '4294967294 elements are in 1 bytes');
    expect(() => read('7fff 00', 0)).to.throw(WireError, '32767 bytes are announced');
    expect(() => read('ffff01 00', 2)).to.throw(WireError, '32766 bytes are announced');
    expect(() => read('01 01 01 01 ffffffff0f', 2)).to.throw(WireError, '4294967295 elements are in 0 bytes');
  });

  it('refuse more elements than any request has, in one array or in several, before memory is taken for them', () => {
    const zeros = Buffer.alloc(2 * elementsMax + 100);
    const announcing = (count: number): Buffer => {
      const body = Buffer.from(zeros);
      body.writeInt32BE(count);
      return body;
    };
    const nested = message(
      'Nested',
      0,
      { versions: '0', flexible: 'none' },
      {
        groups: structs({ names: arrayOf(string)('0+') })('0+'),
      },
    );
    expect(() => nested.decode(announcing(elementsMax + 1), 0)).to.throw(
      WireError,
      `more than ${elementsMax} elements`,
    );
    const half = elementsMax / 2;
    const names = encoded(nested, { groups: [{ names: new Array<string>(half).fill('') }] }, 0);
    expect(nested.decode(names, 0).groups[0]!.names).to.have.length(half);
    const twice = encoded(nested, { groups: new Array(2).fill({ names: new Array<string>(half).fill('') }) }, 0);
    expect(() => nested.decode(twice, 0)).to.throw(WireError, `more than ${elementsMax} elements`);
  });

  it('take a Fetch answer over a topic in which hardly anything but aborted transactions is', () => {
    const abortedTransactions = Array.from({ length: 2 * elementsMax }, (_, producerId) => ({ producerId }));
    const answer = { responses: [{ partitions: [{ abortedTransactions, records: null }] }] };
    const [response] = fetchResponse.decode(encoded(fetchResponse, answer, 17), 17).responses;
    expect(response!.partitions[0]!.abortedTransactions).to.have.length(2 * elementsMax);
  });

  it('refuse a version that is not served, and a text that is longer than Kafka takes', () => {
    expect(() => read('', 4)).to.throw(WireError, 'Sample has no version 4');
    expect(() => hexOf({}, -1)).to.throw(WireError, 'Sample has no version -1');
    expect(hexOf({ name: 'x'.repeat(0x7fff) }, 0)).to.match(/^7fff/);
    expect(() => hexOf({ name: 'x'.repeat(0x8000) }, 0)).to.throw(RangeError);
    expect(read(hexOf({ name: 'x'.repeat(0x7fff) }, 2), 2).name).to.have.length(0x7fff);
    expect(() => hexOf({ name: 'x'.repeat(0x8000) }, 2)).to.throw(RangeError);
    const body = Buffer.concat([Buffer.from('818002', 'hex'), Buffer.alloc(0x9000)]);
    expect(() => sample.decode(body, 2)).to.throw(WireError, '32768 bytes');
  });

  it('read what they wrote', () => {
    const text = fc.string({ unit: 'binary', maxLength: 200 });
    const value = fc.record({
      name: text,
      numbers: fc.array(fc.integer(), { maxLength: 300 }),
      data: fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
      parts: fc.array(
        fc.record({ id: fc.integer({ min: -0x8000, max: 0x7fff }), inner: fc.record({ x: fc.integer() }) }),
      ),
      maybe: fc.option(fc.record({ y: fc.maxSafeInteger() })),
      late: fc.integer(),
      later: fc.record({ a: fc.integer({ min: -0x8000, max: 0x7fff }), b: text }),
      ports: fc.array(fc.nat(0xffff)),
      share: fc.double({ noNaN: true }).filter((share) => !Object.is(share, -0)),
    });
    fc.assert(
      fc.property(value, (given) => {
        expect(sample.decode(encoded(sample, given, 3), 3)).to.deep.equal(given);
      }),
    );
  });
});
