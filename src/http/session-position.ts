import { BitacoraError } from '../kernel/errors.ts';

const entriesMax = 4096;
/** Longer headers many clients and proxies do not take. */
export const positionHeaderMax = 4_096;

/** `Bitacora-Position` as an answer carries it: `partition:position`. */
export function formatPosition(partition: number, position: number): string {
  return `${partition}:${position}`;
}

/** `Bitacora-Position` as a client sends it back: `partition:position`, several with commas, the highest of each counts. */
export function parsePositions(text: string): ReadonlyMap<number, number> {
  const positions = new Map<number, number>();
  const entries = text.split(',', entriesMax + 1);
  if (entries.length > entriesMax) throw invalid();
  for (const entry of entries) {
    const [, partition, position] = /^ *(\d{1,6}):(\d{1,16}) *$/.exec(entry) ?? [];
    if (partition === undefined || !Number.isSafeInteger(Number(position))) throw invalid();
    positions.set(Number(partition), Math.max(Number(position), positions.get(Number(partition)) ?? 0));
  }
  return positions;
}

/** The highest position of each partition: what an answer that rests on several tells. */
export class HighestPositions {
  readonly #positions = new Map<number, number>();

  add(partition: number, position: number): void {
    if (position > (this.#positions.get(partition) ?? -1)) this.#positions.set(partition, position);
  }

  /** By partition, as a client sends them back. */
  text(): string {
    const sorted = [...this.#positions].sort(([a], [b]) => a - b);
    return sorted.map(([partition, position]) => formatPosition(partition, position)).join(',');
  }
}

function invalid(): BitacoraError {
  return new BitacoraError(
    'parameter_invalid',
    'Bitacora-Position is "partition:position", several separated by commas: send back what answers carried.',
  );
}
