import avsc, { type Schema } from 'avsc';
import { expect } from 'chai';
import fc from 'fast-check';
import { MalformedError, SchemaRefusedError, Walk } from '../../../../src/avro/wire/bounds.ts';
import { CheckedType } from '../../../../src/avro/wire/checked-type.ts';
import { lengthPrefixed, long } from '../../../support/avro/avro-bytes.ts';
import { schemas } from '../../../support/avro/schemas.ts';

const typeOf = (schema: unknown) => avsc.Type.forSchema(schema as Schema);
const record = (...fields: object[]) => typeOf({ type: 'record', name: 'R', fields });

describe('a checked type', () => {
  it('reads what it wrote, and stands behind it', () => {
    fc.assert(
      fc.property(schemas, (schema) => {
        const type = typeOf(schema);
        const checked = new CheckedType(type);
        const value = type.random();
        const bytes = checked.bytesOf(value);
        const walk = new Walk(Buffer.concat([Buffer.alloc(5), bytes, Buffer.alloc(5)]), 5);
        expect(type.toBuffer(checked.read(walk))).to.deep.equal(bytes);
        expect(walk.at).to.equal(5 + bytes.length);
      }),
      { numRuns: 300 },
    );
  });

  it('passes over a value without reading it', () => {
    const walk = new Walk(Buffer.concat([lengthPrefixed('abc'), long(1)]), 0);
    new CheckedType(typeOf('string')).pass(walk);
    expect(walk.at).to.equal(4);
    expect(() => new CheckedType(typeOf('string')).pass(walk)).to.throw(MalformedError);
  });

  it('resolves what another schema wrote by Avro’s rules', () => {
    const reader = record({ name: 'key', type: 'bytes' }, { name: 'more', type: 'long', default: 7 });
    const writer = record({ name: 'gone', type: ['null', 'string'] }, { name: 'key', type: 'string' });
    const bytes = writer.toBuffer({ gone: 'x', key: 'ñ' });
    const value = new CheckedType(reader, writer).read(new Walk(bytes, 0)) as { key: Buffer; more: number };
    expect([value.key.toString(), value.more]).to.deep.equal(['ñ', 7]);
  });

  it('compares names without their namespaces, as Avro has it', () => {
    const within = (namespace: string | undefined, name = 'R') =>
      typeOf({
        type: 'record',
        name,
        namespace,
        fields: [
          { name: 'level', type: { type: 'enum', name: 'Level', symbols: ['LOW', 'HIGH'] } },
          { name: 'id', type: ['null', { type: 'fixed', name: 'Id', size: 2 }] },
        ],
      });
    const value = { level: 'HIGH', id: Buffer.from('ab') };
    for (const namespace of ['org.example', 'other', undefined]) {
      const bytes = within(namespace).toBuffer(value);
      const read = new CheckedType(within('bitacora'), within(namespace)).read(new Walk(bytes, 0));
      expect({ ...(read as object) }).to.deep.equal(value);
    }
    expect(() => new CheckedType(within('bitacora'), within('bitacora', 'S'))).to.throw(Error);
  });

  it('is not made of schemas that do not resolve, or that let no bytes stand for much', () => {
    expect(() => new CheckedType(typeOf('int'), typeOf('string'))).to.throw(Error);
    expect(() => new CheckedType(typeOf('int'), typeOf({ type: 'array', items: 'null' }))).to.throw(Error);
    const bomb = record({ name: 'key', type: 'int' }, { name: 'bomb', type: { type: 'array', items: 'null' } });
    expect(() => new CheckedType(record({ name: 'key', type: 'int' }), bomb)).to.throw(SchemaRefusedError);
  });

  it('calls malformed what avsc will not decode', () => {
    expect(() => new CheckedType(typeOf('long')).read(new Walk(long(2n ** 60n), 0))).to.throw(MalformedError);
  });
});
