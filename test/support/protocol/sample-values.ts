import { noUuid } from '../../../src/protocol/schema.ts';
import type { Shape } from './served.ts';

/** How a sample message is filled: as little as can be, null where that may be, or everything, at its smallest or largest. */
export const sampleKinds = ['empty', 'null', 'full', 'extreme'] as const;
export type SampleKind = (typeof sampleKinds)[number];

/** In the form that our own schemas decode. Only the fields' shapes and names decide it, so that it need not be kept anywhere. */
export function sampleValue(shapes: readonly Shape[], kind: SampleKind, salt = 1): Record<string, unknown> {
  return Object.fromEntries(
    shapes.map((shape, index) => [shape.name, sampleField(shape, kind, (salt * 31 + index * 7 + 3) % 9973)]),
  );
}

function sampleField(shape: Shape, kind: SampleKind, salt: number): unknown {
  const { type, nullable, fields } = shape;
  if (kind === 'empty') return shape.default === 'fields' ? sampleValue(fields, kind) : shape.default;
  if (kind === 'null' && nullable) return null;
  if (type === 'struct') return sampleValue(fields, kind, salt);
  if (!type.startsWith('[]')) return samplePrimitive(type, kind, salt);
  const count = kind === 'full' ? 2 : 1;
  return Array.from({ length: count }, (_, index) =>
    type === '[]struct'
      ? sampleValue(fields, kind, salt + index)
      : samplePrimitive(type.slice(2), kind, salt + index * 13),
  );
}

function samplePrimitive(type: string, kind: SampleKind, salt: number): unknown {
  const isLow = salt % 2 === 0;
  const bits = Number(/^int(\d+)$/.exec(type)?.[1] ?? 0);
  // What a number holds exactly of the 64 bits.
  const exactBits = Math.min(bits, 54);
  if (bits > 0 && kind === 'extreme')
    return isLow ? -(2 ** (exactBits - 1)) + (bits === 64 ? 1 : 0) : 2 ** (exactBits - 1) - 1;
  if (bits > 0) return ((salt * 7919) % 2 ** Math.min(bits - 1, 40)) - (kind === 'null' ? 5 : 0);
  const text = kind === 'extreme' ? `${'ñ'.repeat(64)}${salt}` : `name-${salt}`;
  switch (type) {
    case 'bool':
      return !isLow;
    case 'string':
      return text;
    case 'float64':
      if (kind === 'extreme') return isLow ? -Number.MAX_VALUE : Number.MIN_VALUE;
      return (isLow ? -1 : 1) * (salt + 1 / 8);
    case 'uuid':
      return kind === 'extreme'
        ? 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        : noUuid.replaceAll('0', (salt % 10).toString());
    case 'bytes':
    case 'records':
      return Buffer.from(text, 'latin1');
    default:
      throw new Error(`there is no sample of ${type}`);
  }
}

/** The same value as Kafka's converter from JSON takes it. */
export function inKafkasJson(shapes: readonly Shape[], value: Record<string, unknown>): Record<string, unknown> {
  const one = (type: string, given: unknown): unknown => {
    if (type === 'uuid') return Buffer.from((given as string).replaceAll('-', ''), 'hex').toString('base64url');
    return Buffer.isBuffer(given) ? given.toString('base64') : given;
  };
  return Object.fromEntries(
    shapes.map(({ name, type, fields }) => {
      const given = value[name];
      if (given === null) return [name, null];
      if (type === 'struct') return [name, inKafkasJson(fields, given as Record<string, unknown>)];
      if (type === '[]struct') {
        return [name, (given as Record<string, unknown>[]).map((element) => inKafkasJson(fields, element))];
      }
      if (type.startsWith('[]')) return [name, (given as unknown[]).map((element) => one(type.slice(2), element))];
      return [name, one(type, given)];
    }),
  );
}
