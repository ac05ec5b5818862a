import fc from 'fast-check';

type SchemaJson = string | object;

const primitives = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'];
/** By these no two branches of a union are alike. */
const branches = ['null', 'boolean', 'long', 'bytes', 'string'];

/** One depth for all: a random datum has up to ten elements at each, and a message is refused that has too many altogether. */
const depth = { maxDepth: 4, depthIdentifier: fc.createDepthIdentifier() };

const { schema } = fc.letrec<{ schema: SchemaJson; leaf: SchemaJson; node: SchemaJson; items: SchemaJson }>((tie) => ({
  schema: fc.oneof(depth, tie('leaf'), tie('node')),
  leaf: fc.oneof(
    fc.constantFrom(...primitives),
    fc.record({ type: fc.constant('fixed'), size: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ type: fc.constant('enum'), symbols: fc.constantFrom(['A'], ['A', 'B', 'C']) }),
    fc.uniqueArray(fc.constantFrom(...branches), { minLength: 1, maxLength: 5 }),
  ),
  /** Of at least one byte. */
  items: fc.oneof(
    depth,
    fc.constantFrom('int', 'string', 'boolean', 'double'),
    tie('schema').map((inner) => ({ type: 'map', values: inner })),
    fc.record({ type: fc.constant('array'), items: tie('items') }),
    tie('schema').map((inner) => ({
      type: 'record',
      fields: [
        { name: 'some', type: 'int' },
        { name: 'inner', type: inner },
      ],
    })),
  ),
  node: fc.oneof(
    fc.record({ type: fc.constant('array'), items: tie('items') }),
    fc.record({ type: fc.constant('map'), values: tie('schema') }),
    fc.array(tie('schema'), { maxLength: 4 }).map((types) => ({
      type: 'record',
      fields: types.map((type, i) => ({ name: `field${i}`, type })),
    })),
  ),
}));

/** Schemas of every kind of type, named types without names. */
export const schemas: fc.Arbitrary<SchemaJson> = schema;
