import type { Log, LogReader, ReadFrom, ReadHandler, RecordSlices } from '../../src/log/log.ts';

/** A record copied out of a batch of slices. */
export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

export function copyRecords(slices: RecordSlices): ReadRecord[] {
  const { partition, count, buffer, offsets, timestampsMs, keyStarts, keyLengths, valueStarts, valueLengths } = slices;
  const slice = (start: number, length: number) =>
    length < 0 ? null : Buffer.from(buffer.subarray(start, start + length));
  return Array.from({ length: count }, (_, i) => ({
    partition,
    offset: offsets[i]!,
    timestampMs: timestampsMs[i]!,
    key: slice(keyStarts[i]!, keyLengths[i]!),
    value: slice(valueStarts[i]!, valueLengths[i]!),
    headers: Object.fromEntries([...(slices.headers?.get(i) ?? [])].map(([name, bytes]) => [name, bytes.toString()])),
  }));
}

/** A reader that keeps what it is handed, and lets a test wait for positions. */
export class CollectingReader {
  readonly records: ReadRecord[] = [];
  readonly positions: number[];
  readonly disturbances: string[] = [];
  readonly lost: string[] = [];
  /** Where each gap ended: partition and offset. */
  readonly gaps: string[] = [];
  readonly #reader: LogReader;
  #onProgress: () => void = () => {};

  /** `beforeBatch`: what the reader has to wait for each time before a batch is kept. */
  constructor(
    log: Pick<Log, 'read'>,
    positions: readonly (number | ReadFrom)[],
    beforeBatch: () => Promise<void> = async () => undefined,
  ) {
    const from = positions.map((each) => (typeof each === 'number' ? { offset: each, leaderEpoch: -1 } : each));
    this.positions = from.map(({ offset }) => offset);
    const handler: ReadHandler = {
      onBatch: async (slices) => {
        await beforeBatch();
        this.records.push(...copyRecords(slices));
        this.#advance(slices.partition, slices.nextOffset);
      },
      onGap: (partition, nextOffset) => {
        this.gaps.push(`${partition}:${nextOffset}`);
        this.#advance(partition, nextOffset);
      },
      onDisturbance: (reason) => {
        this.disturbances.push(reason);
      },
      onLineageLost: (reason) => {
        this.lost.push(reason);
      },
    };
    this.#reader = log.read(from, handler);
  }

  /** Resolves once every partition's position is at least the one asked for. */
  async reach(positions: readonly number[]): Promise<void> {
    while (positions.some((position, partition) => (this.positions[partition] ?? 0) < position)) {
      await new Promise<void>((resolve) => {
        this.#onProgress = resolve;
      });
    }
  }

  stop(): Promise<void> {
    return this.#reader.stop();
  }

  #advance(partition: number, position: number): void {
    this.positions[partition] = Math.max(this.positions[partition] ?? 0, position);
    this.#onProgress();
  }
}
