import { BitacoraError } from '../kernel/errors.ts';
import type {
  Appended,
  AppendRecord,
  Log,
  LogReader,
  PartitionEnds,
  ReadFrom,
  ReadHandler,
  RecordHeaders,
  TopicDescription,
  TopicSettings,
} from './log.ts';
import { SliceBuilder } from './slice-builder.ts';

interface StoredRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: RecordHeaders | undefined;
}

interface MemoryPartition {
  records: StoredRecord[];
  end: number;
}

/** A log in this process's memory, for unit tests and for nothing that must last. It keeps the contract of `Log`. */
export class MemoryLog implements Log {
  readonly name = 'memory log';
  readonly #topic: string;
  #description: TopicDescription | undefined;
  #partitions: MemoryPartition[] = [];
  #draining = false;
  readonly #wakeReaders = new Set<() => void>();

  constructor(topic: string) {
    this.#topic = topic;
  }

  async run(): Promise<void> {}

  async drain(): Promise<void> {
    this.#draining = true;
  }

  async stop(): Promise<void> {}

  async describe(): Promise<TopicDescription | undefined> {
    return this.#description;
  }

  async create(settings: TopicSettings): Promise<void> {
    if (this.#description !== undefined) return;
    this.#partitions = Array.from({ length: settings.partitions }, () => ({ records: [], end: 0 }));
    this.#description = {
      topic: this.#topic,
      clusterId: undefined,
      topicId: undefined,
      partitions: settings.partitions,
      cleanupPolicy: 'compact',
      deleteRetentionMs: 86_400_000,
      maxMessageBytes: settings.maxMessageBytes,
      minInsyncReplicas: 1,
      replicationFactor: 1,
    };
  }

  async ends(): Promise<readonly PartitionEnds[]> {
    return this.#partitions.map((log, partition) => ({ partition, earliest: 0, end: log.end }));
  }

  async firstOffsetSince(partition: number, timestampMs: number): Promise<number> {
    const log = this.#partition(partition);
    return log.records.find((record) => record.timestampMs >= timestampMs)?.offset ?? log.end;
  }

  async append(record: AppendRecord): Promise<Appended> {
    if (this.#draining) throw new BitacoraError('shutting_down', 'The log takes no more records.');
    this.#partition(record.partition);
    const size = record.key.length + (record.value?.length ?? 0);
    if (size > (this.#description?.maxMessageBytes ?? 0)) {
      throw new BitacoraError('value_too_large', `The topic does not take a record of ${size} bytes.`);
    }
    const { key, value, headers, timestampMs } = record;
    return this.#push(record.partition, {
      key: Buffer.from(key),
      value: value && Buffer.from(value),
      headers: headers && new Map([...headers].map(([name, bytes]) => [name, Buffer.from(bytes)])),
      timestampMs,
    });
  }

  /** A record as another producer may write it: its key may be null. */
  appendForeign(partition: number, key: Buffer | null, value: Buffer | null, timestampMs: number): Appended {
    return this.#push(partition, { key, value, timestampMs, headers: undefined });
  }

  /** Offsets that hold nothing a reader sees, as an aborted transaction and its marker leave them. */
  appendGap(partition: number, offsets: number): void {
    this.#partition(partition).end += offsets;
    this.#wake();
  }

  read(from: readonly ReadFrom[], handler: ReadHandler): LogReader {
    const next = from.map(({ offset }) => offset);
    const builder = new SliceBuilder();
    let stopped = false;
    let wake = (): void => {};
    const wakeThis = (): void => wake();
    this.#wakeReaders.add(wakeThis);
    const readOnce = async (partition: number, log: MemoryPartition): Promise<void> => {
      const position = next[partition] ?? 0;
      const fresh = log.records.filter((record) => record.offset >= position);
      for (const record of fresh) {
        const copies = Buffer.concat([record.key ?? Buffer.alloc(0), record.value ?? Buffer.alloc(0)]);
        const keyLength = record.key?.length ?? 0;
        builder.start(partition, copies);
        builder.add(
          record.offset,
          record.timestampMs,
          record.key && copies.subarray(0, keyLength),
          record.value && copies.subarray(keyLength),
          record.headers,
        );
        await handler.onBatch(builder.finish(record.offset + 1, -1));
        if (stopped) return;
        next[partition] = record.offset + 1;
      }
      if (log.end > (next[partition] ?? 0) && log.records.every((record) => record.offset < (next[partition] ?? 0))) {
        next[partition] = log.end;
        handler.onGap(partition, log.end, -1);
      }
    };
    const loop = async (): Promise<void> => {
      while (!stopped) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        for (const [partition, log] of this.#partitions.entries()) await readOnce(partition, log);
        if (!stopped) await woken;
      }
    };
    const done = loop();
    return {
      stop: () => {
        stopped = true;
        this.#wakeReaders.delete(wakeThis);
        wake();
        return done;
      },
    };
  }

  #wake(): void {
    for (const wake of this.#wakeReaders) wake();
  }

  #push(partition: number, record: Omit<StoredRecord, 'offset'>): Appended {
    const log = this.#partition(partition);
    const offset = log.end;
    log.records.push({ ...record, offset });
    log.end += 1;
    this.#wake();
    return { partition, offset, timestampMs: record.timestampMs };
  }

  #partition(partition: number): MemoryPartition {
    const log = this.#partitions[partition];
    if (log === undefined) throw new BitacoraError('log_unavailable', `There is no partition ${partition}.`);
    return log;
  }
}
