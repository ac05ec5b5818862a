import { BitacoraError } from '../../src/kernel/errors.ts';
import type {
  Appended,
  AppendRecord,
  Log,
  LogReader,
  PartitionEnds,
  ReadFrom,
  ReadHandler,
  TopicDescription,
  TopicSettings,
} from '../../src/log/log.ts';
import { MemoryLog } from '../../src/log/memory-log.ts';

/** A memory log to which a test does what happens to logs: outages, other settings, a topic deleted or made anew. */
export class SteeredLog implements Log {
  readonly name = 'steered log';
  /** Questions and appends are not answered. */
  down = false;
  /** The topic is not there any more. */
  deleted = false;
  /** Laid over what the topic says of itself. */
  describedAs: Partial<TopicDescription> = {};
  partitionsAdded = 0;
  /** Offsets below are no longer there. */
  earliest = 0;
  readonly asked = { describe: 0, create: 0, ends: 0 };
  #inner: MemoryLog;
  #held = false;
  #reading: { positions: number[]; handler: ReadHandler; reader: LogReader | undefined } | undefined;

  constructor(inner = new MemoryLog('topic')) {
    this.#inner = inner;
  }

  get inner(): MemoryLog {
    return this.#inner;
  }

  async run(): Promise<void> {}

  async drain(): Promise<void> {}

  async stop(): Promise<void> {}

  async describe(): Promise<TopicDescription | undefined> {
    this.asked.describe += 1;
    this.#answers();
    const description = this.deleted ? undefined : await this.#inner.describe();
    if (description === undefined) return undefined;
    return { ...description, partitions: description.partitions + this.partitionsAdded, ...this.describedAs };
  }

  async create(settings: TopicSettings): Promise<void> {
    this.asked.create += 1;
    this.#answers();
    await this.#inner.create(settings);
  }

  async ends(): Promise<readonly PartitionEnds[]> {
    this.asked.ends += 1;
    this.#answers();
    if (this.deleted) throw new BitacoraError('log_unavailable', 'There is no such topic');
    const ends = (await this.#inner.ends()).map((bounds) => ({ ...bounds, earliest: this.earliest }));
    for (let i = 0; i < this.partitionsAdded; i += 1) ends.push({ partition: ends.length, earliest: 0, end: 0 });
    return ends;
  }

  async firstOffsetSince(partition: number, timestampMs: number): Promise<number> {
    this.#answers();
    return this.#inner.firstOffsetSince(partition, timestampMs);
  }

  async append(record: AppendRecord): Promise<Appended> {
    this.#answers();
    return this.#inner.append(record);
  }

  read(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    this.#reading = { positions: from.map(({ offset }) => offset), handler, reader: undefined };
    this.#start();
    return {
      stop: async () => {
        await this.#halt();
        this.#reading = undefined;
      },
    };
  }

  get isRead(): boolean {
    return this.#reading !== undefined;
  }

  /** A reader gets nothing until it is released. */
  async holdReader(): Promise<void> {
    this.#held = true;
    await this.#halt();
  }

  releaseReader(): void {
    this.#held = false;
    this.#start();
  }

  /** The topic is made anew: `inner` stands in its place, and a reader goes on in it from where it is. */
  async remake(inner: MemoryLog): Promise<void> {
    await this.#halt();
    this.#inner = inner;
    this.#start();
  }

  /** The reader reports a gap, whatever its position. */
  reportGap(partition: number, nextOffset: number): void {
    this.#reading?.handler.onGap(partition, nextOffset, -1);
  }

  loseLineage(reason: string): void {
    this.#reading?.handler.onLineageLost(reason);
  }

  disturb(reason: string): void {
    this.#reading?.handler.onDisturbance(reason);
  }

  #start(): void {
    const reading = this.#reading;
    if (this.#held || reading === undefined || reading.reader !== undefined) return;
    const { positions, handler } = reading;
    reading.reader = this.#inner.read(
      positions.map((offset) => ({ offset, leaderEpoch: -1 })),
      {
        onBatch: async (slices) => {
          await handler.onBatch(slices);
          positions[slices.partition] = slices.nextOffset;
        },
        onGap: (partition, nextOffset, leaderEpoch) => {
          positions[partition] = nextOffset;
          handler.onGap(partition, nextOffset, leaderEpoch);
        },
        onDisturbance: (reason) => handler.onDisturbance(reason),
        onLineageLost: (reason) => handler.onLineageLost(reason),
      },
    );
  }

  async #halt(): Promise<void> {
    const reader = this.#reading?.reader;
    if (this.#reading !== undefined) this.#reading.reader = undefined;
    await reader?.stop();
  }

  #answers(): void {
    if (this.down) throw new BitacoraError('log_unavailable', 'The log does not answer');
  }
}
