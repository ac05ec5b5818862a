import { taskOf, tell } from './contender.ts';

/** A process that does nothing but read memory here and there. */
export interface ReferenceTask {
  readonly memoryBytes: number;
  readonly durationMs: number;
}

export interface ReferenceFigures {
  /** The longest time between two looks at the clock, a few microseconds of reading apart. */
  readonly longestMs: number;
}

const { memoryBytes, durationMs } = taskOf<ReferenceTask>();
const pieceWords = 2 ** 24;
const pageWords = 1_024;
const readsPerLook = 200;

const pieces = Array.from({ length: Math.ceil(memoryBytes / (4 * pieceWords)) }, () => new Int32Array(pieceWords));
for (const piece of pieces) for (let at = 0; at < pieceWords; at += pageWords) piece[at] = at;

let random = 1;
let sum = 0;
let longestMs = 0;
const endMs = performance.now() + durationMs;
for (let lastMs = performance.now(); lastMs < endMs; ) {
  for (let reads = 0; reads < readsPerLook; reads += 1) {
    random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    sum += pieces[random % pieces.length]![random >>> 7]!;
  }
  const nowMs = performance.now();
  longestMs = Math.max(longestMs, nowMs - lastMs);
  lastMs = nowMs;
}
// What was read is used, or nothing would be.
tell({ longestMs: sum === 1 ? Number.NaN : longestMs });
