import { setTimeout as delay, setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type {
  Appended,
  Log,
  LogReader,
  PartitionEnds,
  ReadFrom,
  ReadHandler,
  RecordSlices,
  TopicDescription,
} from '../../src/log/log.ts';

const keyBytes = 15;
const digits = 11;
const valueBytes = 100;
const recordBytes = keyBytes + valueBytes;
const fillBatchRecords = 1_000;
/** As many as come in ten milliseconds at fifty thousand a second. */
const writeBatchRecords = 500;
/** A prime, so that strides of it come past every key. */
const stride = 7_368_787;

export interface GeneratedLogOptions {
  /** Records that are there at first, each under a key of its own. */
  readonly keys: number;
  /** Then, by the second, until `end` is called: half of them overwrite, a quarter are new keys, a quarter deletes. */
  readonly writesPerSecond: number;
}

/** A log of one partition that makes its records up when they are read, which costs little beside applying them. */
export class GeneratedLog implements Log {
  readonly name = 'generated log';
  readonly #options: GeneratedLogOptions;
  readonly #slices;
  readonly #buffer = Buffer.alloc(fillBatchRecords * recordBytes, 'v');
  readonly #isLive: Uint8Array;
  #end: number;
  #newKeys = 0;
  #ended = false;
  #delivered: Promise<void> = Promise.resolve();

  constructor(options: GeneratedLogOptions, writesMost: number) {
    this.#options = options;
    this.#end = options.keys;
    this.#isLive = new Uint8Array(options.keys + writesMost);
    const column = () => new Float64Array(fillBatchRecords);
    this.#slices = {
      partition: 0,
      buffer: this.#buffer,
      offsets: column(),
      timestampsMs: column(),
      keyStarts: column().map((_, i) => i * recordBytes),
      keyLengths: new Int32Array(fillBatchRecords).fill(keyBytes),
      valueStarts: column().map((_, i) => i * recordBytes + keyBytes),
      valueLengths: new Int32Array(fillBatchRecords).fill(valueBytes),
      headers: undefined,
      leaderEpoch: 0,
    };
    for (let i = 0; i < fillBatchRecords; i += 1) this.#buffer.write('key-', i * recordBytes, 'latin1');
  }

  /** Records that were read after those that were there at first. */
  get writes(): number {
    return this.#end - this.#options.keys;
  }

  /** Keys that have a value. */
  get liveKeys(): number {
    return this.#isLive.reduce((sum, live) => sum + live, 0);
  }

  /** Resolves when no more is read. */
  end(): Promise<void> {
    this.#ended = true;
    return this.#delivered;
  }

  async run(): Promise<void> {}

  async stop(): Promise<void> {}

  async describe(): Promise<TopicDescription> {
    return {
      topic: 'bench',
      clusterId: 'bench',
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partitions: 1,
      cleanupPolicy: 'compact',
      deleteRetentionMs: 86_400_000,
      maxMessageBytes: 1_048_576,
      minInsyncReplicas: 1,
      replicationFactor: 1,
    };
  }

  async create(): Promise<void> {}

  async ends(): Promise<readonly PartitionEnds[]> {
    return [{ partition: 0, earliest: 0, end: this.#end }];
  }

  async firstOffsetSince(): Promise<number> {
    return this.#end;
  }

  append(): Promise<Appended> {
    return Promise.reject(new Error('nothing is appended to a log that is generated'));
  }

  read([from]: readonly ReadFrom[], handler: ReadHandler): LogReader {
    const stopping = new AbortController();
    const done = this.#deliver(from!.offset, handler, stopping.signal);
    this.#delivered = done;
    return {
      stop: () => {
        stopping.abort();
        return done;
      },
    };
  }

  async #deliver(from: number, handler: ReadHandler, signal: AbortSignal): Promise<void> {
    const { keys, writesPerSecond } = this.#options;
    for (let offset = from; offset < keys && !signal.aborted; ) {
      const count = Math.min(fillBatchRecords, keys - offset);
      for (let i = 0; i < count; i += 1) this.#lay(i, offset + i, offset + i, false);
      offset += count;
      await handler.onBatch(this.#batch(count, offset));
    }
    const startedMs = performance.now();
    while (!signal.aborted && !this.#ended) {
      const due = ((performance.now() - startedMs) * writesPerSecond) / 1_000 - this.writes;
      if (due < writeBatchRecords) {
        await delay(1);
        continue;
      }
      for (let i = 0; i < writeBatchRecords; i += 1) this.#layWrite(i, this.#end + i);
      this.#end += writeBatchRecords;
      await handler.onBatch(this.#batch(writeBatchRecords, this.#end));
      await yieldToEventLoop();
    }
  }

  #batch(count: number, nextOffset: number): RecordSlices {
    return { ...this.#slices, count, nextOffset };
  }

  #layWrite(i: number, offset: number): void {
    const { keys } = this.#options;
    const kind = offset % 4;
    if (kind === 0) {
      this.#lay(i, offset, keys + this.#newKeys, false);
      this.#newKeys += 1;
    } else {
      this.#lay(i, offset, (offset * stride) % keys, kind === 1);
    }
  }

  #lay(i: number, offset: number, key: number, isDelete: boolean): void {
    const { offsets, timestampsMs, valueLengths } = this.#slices;
    offsets[i] = offset;
    timestampsMs[i] = 1_760_000_000_000 + offset;
    valueLengths[i] = isDelete ? -1 : valueBytes;
    this.#isLive[key] = isDelete ? 0 : 1;
    const last = i * recordBytes + keyBytes - 1;
    for (let at = last, rest = key; at > last - digits; at -= 1) {
      this.#buffer[at] = 48 + (rest % 10);
      rest = (rest / 10) | 0;
    }
  }
}
