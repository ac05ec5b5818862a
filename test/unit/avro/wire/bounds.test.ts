import avsc, { type Schema } from 'avsc';
import { expect } from 'chai';
import fc from 'fast-check';
import { MalformedError, SchemaRefusedError, Walk, Walkers } from '../../../../src/avro/wire/bounds.ts';
import { CheckedType } from '../../../../src/avro/wire/checked-type.ts';
import { lengthPrefixed, long } from '../../../support/avro/avro-bytes.ts';
import { schemas } from '../../../support/avro/schemas.ts';

const typeOf = (schema: unknown) => avsc.Type.forSchema(schema as Schema);

const read = (schema: unknown, bytes: Buffer): unknown => new CheckedType(typeOf(schema)).read(new Walk(bytes, 0));
const refuses = (schema: unknown, ...bytes: Uint8Array[]) =>
  expect(() => read(schema, Buffer.concat(bytes)), Buffer.concat(bytes).toString('hex')).to.throw(MalformedError);

describe('the walk over a datum', () => {
  it('passes what avsc writes exactly, whatever its schema, and refuses each truncation of it', () => {
    fc.assert(
      fc.property(schemas, (schema) => {
        const type = typeOf(schema);
        const pass = new Walkers().of(type);
        const bytes = type.toBuffer(type.random());
        const whole = new Walk(Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(2)]), 3);
        pass(whole);
        expect(whole.at).to.equal(3 + bytes.length);
        for (let length = 0; length < bytes.length && length < 100; length += 1) {
          const cut = new Walk(bytes.subarray(0, length), 0);
          expect(() => pass(cut)).to.throw(MalformedError, 'beyond the end');
        }
      }),
      { numRuns: 200 },
    );
  });

  it('of changed bytes ends in a value or in a MalformedError', () => {
    fc.assert(
      fc.property(schemas, fc.nat(), fc.nat({ max: 255 }), (schema, place, byte) => {
        const type = typeOf(schema);
        const bytes = Buffer.concat([type.toBuffer(type.random()), Buffer.alloc(1)]);
        bytes[place % bytes.length] = byte;
        try {
          read(schema, bytes);
        } catch (error) {
          if (!(error instanceof MalformedError)) throw error;
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes an int of 32 bits and no more', () => {
    for (const value of [0, 1, -1, 63, -64, 64, 2 ** 31 - 1, -(2 ** 31)])
      expect(read('int', long(value))).to.equal(value);
    for (const value of [2 ** 31, -(2 ** 31) - 1, 2n ** 63n - 1n, -(2n ** 63n)]) refuses('int', long(value));
  });

  it('takes a long that JavaScript has, and refuses what it would round', () => {
    for (const value of [Number.MAX_SAFE_INTEGER - 1, -(2 ** 52), 2 ** 31, -(2 ** 35)]) {
      expect(read('long', long(value))).to.equal(value);
    }
    for (const value of [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) refuses('long', long(value));
  });

  it('refuses a number of more than 64 bits, and one that does not end', () => {
    const nineFull = Buffer.alloc(9, 0xff);
    for (const schema of ['int', 'long', 'bytes', ['null', 'int']]) {
      refuses(schema, nineFull, Buffer.of(0x02));
      refuses(schema, nineFull, Buffer.of(0x81, 0x00));
      refuses(schema, Buffer.alloc(2_000, 0x80));
      refuses(schema, Buffer.alloc(3, 0xff));
    }
    // The same number in more bytes than it needs is still it.
    expect(read('long', Buffer.from('8280808000', 'hex'))).to.equal(1);
  });

  it('refuses a boolean that is neither', () => {
    expect([read('boolean', Buffer.of(0)), read('boolean', Buffer.of(1))]).to.deep.equal([false, true]);
    for (const byte of [2, 0x80, 0xff]) refuses('boolean', Buffer.of(byte));
  });

  it('refuses a text that is not UTF-8, as a value and as the name in a map', () => {
    for (const hex of ['ff', 'c3', 'c0af', 'eda080', 'f8888080']) {
      const text = lengthPrefixed(Buffer.from(hex, 'hex'));
      refuses('string', text);
      refuses({ type: 'map', values: 'int' }, long(1), text, long(1), long(0));
      expect(read('bytes', text)).to.deep.equal(Buffer.from(hex, 'hex'));
    }
  });

  it('refuses lengths below zero and beyond the end', () => {
    for (const schema of ['bytes', 'string']) {
      for (const length of [-1, 4, 2 ** 31, 2n ** 63n - 1n, -(2n ** 63n)])
        refuses(schema, long(length), Buffer.alloc(3));
    }
    refuses({ type: 'fixed', name: 'F', size: 4 }, Buffer.alloc(3));
    refuses('float', Buffer.alloc(3));
    refuses('double', Buffer.alloc(7));
  });

  it('refuses branches and symbols that are not there', () => {
    for (const index of [-1, 2, 2 ** 33, 2n ** 63n - 1n]) {
      refuses(['null', 'boolean'], long(index), Buffer.alloc(2));
      refuses({ type: 'enum', name: 'E', symbols: ['A', 'B'] }, long(index), Buffer.alloc(2));
    }
  });

  describe('of arrays and maps', () => {
    const array = { type: 'array', items: 'boolean' };
    const map = { type: 'map', values: 'boolean' };
    const entry = Buffer.concat([lengthPrefixed('k'), Buffer.of(1)]);
    const counts = [3, 2 ** 31, 2n ** 53n, 2n ** 62n, -3, -(2 ** 31), -(2n ** 63n)];

    it('ends where the bytes do, whatever count they have', () => {
      for (const count of counts) {
        const head = Number(count) < 0 ? [long(count), long(2)] : [long(count)];
        refuses(array, ...head, Buffer.of(1, 1));
        refuses(map, ...head, entry, entry);
      }
    });

    it('takes blocks one behind the other, with their sizes or without', () => {
      const blocks = [long(2), Buffer.of(1, 0), long(-1), long(1), Buffer.of(1), long(0)];
      expect(read(array, Buffer.concat(blocks))).to.deep.equal([true, false, true]);
      const entries = [long(-1), long(entry.length), entry, long(0)];
      expect(read(map, Buffer.concat(entries))).to.deep.equal({ k: true });
    });

    it('refuses a block that has not the size that it says: by it avsc passes what its reader has no use for', () => {
      for (const size of [0, 1, 4, 2 ** 40, -1, 2n ** 63n - 1n]) {
        refuses(array, long(-2), long(size), Buffer.of(1, 1), long(0), Buffer.alloc(8));
        refuses(map, long(-1), long(size), entry, long(0), Buffer.alloc(8));
      }
    });

    it('is not led astray by the size of a block that the reader passes over', () => {
      const texts = { type: 'array', items: 'bytes' };
      const fields = [
        { name: 'passed', type: texts },
        { name: 'kept', type: texts },
      ];
      const writer = typeOf({ type: 'record', name: 'R', fields });
      const reader = typeOf({ type: 'record', name: 'R', fields: fields.slice(1) });
      const checked = new CheckedType<{ kept: Buffer[] }>(reader, writer);
      const block = lengthPrefixed(long(2n ** 53n));
      const kept = Buffer.concat([long(1), lengthPrefixed('k'), long(0)]);
      // A size that ends within the block: what lies there would be taken for a count that no walk has seen.
      const bomb = Buffer.concat([long(-1), long(1), block, long(0), kept]);
      expect(() => checked.read(new Walk(bomb, 0))).to.throw(MalformedError);
      const sound = Buffer.concat([long(-1), long(block.length), block, long(0), kept]);
      expect(checked.read(new Walk(sound, 0)).kept.map(String)).to.deep.equal(['k']);
    });

    it('are not taken with items of no bytes, of which any number costs nothing', () => {
      const empty = { type: 'record', name: 'Empty', fields: [] };
      const nested = {
        type: 'record',
        name: 'Nested',
        fields: [
          { name: 'a', type: empty },
          { name: 'b', type: 'null' },
        ],
      };
      const circle = { type: 'record', name: 'Circle', fields: [{ name: 'next', type: 'Circle' }] };
      for (const items of ['null', empty, nested, circle, { type: 'fixed', name: 'F', size: 0 }]) {
        const schema = { type: 'array', items };
        expect(() => new Walkers().of(typeOf(schema)), JSON.stringify(items)).to.throw(SchemaRefusedError);
      }
      const pair = {
        type: 'record',
        name: 'P',
        fields: [
          { name: 'a', type: 'null' },
          { name: 'b', type: 'int' },
        ],
      };
      expect(read({ type: 'array', items: pair }, Buffer.concat([long(1), long(4), long(0)]))).to.have.length(1);
      // The names in a map take bytes.
      expect(
        read({ type: 'map', values: 'null' }, Buffer.concat([long(1), lengthPrefixed('k'), long(0)])),
      ).to.deep.equal({ k: null });
    });
  });

  it('ends at a number of values that are within each other and take no bytes', () => {
    // Each record holds two of the one before: 2^40 values, and no byte.
    let schema: unknown = { type: 'record', name: 'R0', fields: [] };
    for (let depth = 1; depth <= 40; depth += 1) {
      const fields = [
        { name: 'a', type: schema },
        { name: 'b', type: `R${depth - 1}` },
      ];
      schema = { type: 'record', name: `R${depth}`, fields };
    }
    refuses(schema, Buffer.alloc(10));
  });

  it('ends at a number of values that goes by the bytes of the message: small ones are little work, each', () => {
    const fields = Array.from({ length: 300 }, (_, i) => ({ name: `f${i}`, type: 'null' }));
    const schema = { type: 'record', name: 'R', fields: [...fields, { name: 'rest', type: 'bytes' }] };
    refuses(schema, lengthPrefixed(Buffer.alloc(20)));
    expect(read(schema, lengthPrefixed(Buffer.alloc(50)))).to.have.property('f299', null);
    const many = { type: 'array', items: ['null', 'boolean'] };
    const values = (count: number) => Buffer.concat([long(count), Buffer.alloc(count), long(0)]);
    expect(read(many, values(49_000))).to.have.length(49_000);
    refuses(many, values(51_000));
  });

  it('ends at a depth, of values with bytes and of values without', () => {
    const list = { type: 'record', name: 'List', fields: [{ name: 'next', type: ['null', 'List'] }] };
    const deep = (levels: number) => Buffer.concat([Buffer.alloc(levels, 2), Buffer.of(0)]);
    expect(read(list, deep(10))).to.have.nested.property('next.next.next');
    refuses(list, deep(1_000_000));
    refuses({ type: 'record', name: 'Circle', fields: [{ name: 'next', type: 'Circle' }] }, Buffer.alloc(10));
    const tree = { type: 'record', name: 'Tree', fields: [{ name: 'leaves', type: { type: 'array', items: 'Tree' } }] };
    refuses(tree, Buffer.alloc(1_000_000, 2));
  });
});
