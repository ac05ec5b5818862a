import type { Kafka } from '../support/kafka/kafka.ts';

/** One thing measured over and over: an absolute figure, or the ratio of two figures of the same round. */
export interface Measure {
  readonly what: string;
  readonly unit: 'per second' | 'times' | 'µs' | 'ms' | 'MB' | 'MB/s' | 'bytes' | 'processors' | 'count';
  /** One number a round. */
  readonly rounds: readonly number[];
  /** What the project aims at; nothing fails when a machine falls short of it. */
  readonly aim?: Aim;
  /** Where the figure stands in the plot. */
  readonly point?: PlotPoint;
}

export interface PlotPoint {
  readonly chart: 'memory' | 'replay';
  /** What the points of one line have in common. */
  readonly line: string;
  readonly keys: number;
}

export type Aim = { readonly atLeast: number } | { readonly atMost: number };

export interface Bench {
  readonly name: string;
  /** What is compared with what, in one line. */
  readonly about: string;
  run(context: BenchContext): Promise<Measure[]>;
}

export interface BenchContext {
  /** A real Kafka, started on first use and shared by the benches of a run. */
  kafka(): Promise<Kafka>;
  /** Where processes under measurement leave a CPU profile when they end. */
  readonly profileFolder: string | undefined;
  /** Fewer rounds, and of large loads only what an aim is about: all benches together in less than half an hour. */
  readonly quick: boolean;
}

/** Half of the rounds are at or above, half at or below. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) throw new Error('there is no median of nothing');
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
}
