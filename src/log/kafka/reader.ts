import type { Batch, Consumer, EachBatchPayload, IHeaders, Kafka, KafkaMessage } from 'kafkajs';
import { Backoff, type Clock, pause, unlessAborted } from '../../kernel/clock.ts';
import { rootMessage } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import type { LogReader, PartitionEnds, ReadHandler, RecordHeaders } from '../log.ts';
import { SliceBuilder } from '../slice-builder.ts';
import { TailEvidence } from './tail-evidence.ts';
import { wholeTopicAssigner } from './whole-topic-assigner.ts';

export interface ReaderOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly groupId: string;
  readonly positions: readonly number[];
  readonly handler: ReadHandler;
  readonly ends: () => Promise<readonly PartitionEnds[]>;
  readonly leadership: () => Promise<Leadership>;
  /** Largest batch that the topic takes. */
  readonly batchBytesMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who leads what, and where. */
export interface Leadership {
  /** Node id by partition; undefined for a partition without a leader. */
  readonly leaders: readonly (number | undefined)[];
  /** Node id by `host:port`. */
  readonly brokers: ReadonlyMap<string, number>;
}

export interface ReaderStats {
  restarts: number;
  disturbances: number;
}

const mebibyte = 1024 * 1024;
/** Below a broker's own cap on a Fetch answer (`fetch.max.bytes`, 55 MiB). */
const fetchBytesMax = 50 * mebibyte;
/** A Fetch answer without a partition in it has 18 bytes; one with a partition has 60 and the topic's name. */
const answerBytesMin = 20;
const partitionBytesMax = 10 * mebibyte;
/** The shortest that brokers allow by default: a node killed and started again waits this long for its group. */
const sessionTimeoutMs = 6_000;
const commitEveryMs = 5_000;
const probeEveryMs = 500;
const stopWithinMs = 2_000;

/**
 * Reads every partition through a kafkajs consumer group of its own, from the given positions and never from a committed
 * offset: a node in memory that resumed would lack everything before. Offsets are committed all the same, so that Kafka's
 * tools show the node's lag.
 *
 * Traps of kafkajs 2.2.4 that are dealt with here: a rejoined group starts from committed offsets (each join seeks); an
 * offset out of range silently starts over (each batch must begin where this reader stands, else it is refused and reported);
 * control records, aborted and compacted tails bring no batch (see `onFiltered` and `TailEvidence`).
 */
export class KafkaReader implements LogReader {
  readonly stats: ReaderStats;
  readonly #options: ReaderOptions;
  readonly #positions: number[];
  readonly #stopping = new AbortController();
  readonly #builder = new SliceBuilder();
  readonly #evidence = new TailEvidence();
  /** Node id by `host:port`, as last heard. */
  #brokers: ReadonlyMap<string, number> = new Map();
  #committed: readonly number[] = [];
  #done: Promise<void>;

  constructor(options: ReaderOptions, stats: ReaderStats) {
    this.stats = stats;
    this.#options = options;
    this.#positions = [...options.positions];
    this.#done = this.#superviseConsumers();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  /** kafkajs' own restarts are off: a consumer that ends is replaced here, with one log line and a growing pause. */
  async #superviseConsumers(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(250, 10_000);
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      const consumer = this.#makeConsumer();
      try {
        await this.#consume(consumer);
      } catch (error) {
        if (signal.aborted) break;
        if (clock.monotonicMs() - startedMs > 60_000) backoff.reset();
        const delayMs = backoff.nextMs();
        this.stats.restarts += 1;
        logger.warn(`reading from Kafka stopped (${rootMessage(error)}); starting again in ${delayMs} ms`);
        await pause(clock, delayMs, signal);
      } finally {
        await this.#disconnect(consumer);
      }
    }
  }

  #makeConsumer(): Consumer {
    const { kafka, groupId, positions, batchBytesMax } = this.#options;
    const share = Math.min(partitionBytesMax, Math.floor(fetchBytesMax / positions.length));
    return kafka.consumer({
      groupId,
      partitionAssigners: [wholeTopicAssigner],
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: 2_000,
      rebalanceTimeout: 10_000,
      allowAutoTopicCreation: false,
      minBytes: 1,
      maxWaitTimeInMs: 500,
      // A broker leaves a partition out whose next batch is larger than its share, unless it comes first in the answer.
      maxBytesPerPartition: Math.max(share, batchBytesMax),
      maxBytes: fetchBytesMax,
      // A consumer that outlives the loss of its brokers keeps its place in the group; a new one would have to wait until the
      // group has given up the old one.
      retry: {
        retries: Number.MAX_SAFE_INTEGER,
        initialRetryTime: 250,
        maxRetryTime: 2_000,
        restartOnFailure: async () => false,
      },
    });
  }

  /** Runs one consumer until it crashes (rejects) or the reader stops (resolves). */
  async #consume(consumer: Consumer): Promise<void> {
    const { topic } = this.#options;
    const { signal } = this.#stopping;
    const crashed = new Promise<never>((_, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    });
    crashed.catch(() => {});
    this.#observe(consumer);
    const start = async (): Promise<void> => {
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatch: (payload) => this.#onBatch(consumer, payload) });
    };
    await unlessAborted(Promise.race([start(), crashed]), signal);
    if (signal.aborted) return;
    const background = new AbortController();
    const committing = this.#repeat(background.signal, commitEveryMs, () => this.#commit(consumer));
    const probing = this.#repeat(background.signal, probeEveryMs, () => this.#probeTail(background.signal));
    try {
      await unlessAborted(crashed, signal);
      await Promise.race([this.#commit(consumer), pause(this.#options.clock, stopWithinMs)]);
    } finally {
      background.abort();
      await Promise.all([committing, probing]);
    }
  }

  #observe(consumer: Consumer): void {
    consumer.on(consumer.events.GROUP_JOIN, () => {
      this.#evidence.disturbed();
      for (const partition of this.#positions.keys()) this.#seek(consumer, partition);
    });
    consumer.on(consumer.events.REBALANCING, () => this.#evidence.disturbed());
    consumer.on(consumer.events.REQUEST, ({ payload: { apiName, size, broker } }) => {
      if (apiName !== 'Fetch') return;
      // A broker answers a client that is over its quota with no partition at all (KIP-219), whatever there is to read.
      if (size < answerBytesMin + Buffer.byteLength(this.#options.topic)) {
        this.#evidence.disturbed();
        return;
      }
      const nodeId = this.#brokers.get(broker);
      const hadRoom = size + this.#options.batchBytesMax <= fetchBytesMax;
      if (nodeId !== undefined && hadRoom) this.#evidence.answered(nodeId);
    });
    // Numbers by their type, and strings in fact.
    consumer.on(consumer.events.FETCH_START, ({ payload }) => this.#evidence.roundStarts(Number(payload.nodeId)));
    consumer.on(consumer.events.FETCH, ({ payload }) => this.#evidence.returned(Number(payload.nodeId)));
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0) this.#onFiltered(payload.partition, Number(payload.lastOffset) + 1);
    });
  }

  #seek(consumer: Consumer, partition: number): void {
    consumer.seek({ topic: this.#options.topic, partition, offset: String(this.#positions[partition]) });
  }

  async #onBatch(consumer: Consumer, { batch, isStale, isRunning, heartbeat }: EachBatchPayload): Promise<void> {
    const { partition } = batch;
    const position = this.#positions[partition];
    if (position === undefined) return;
    this.#evidence.arrived(partition);
    const fetchedOffset = Number((batch as Batch & { fetchedOffset: string }).fetchedOffset);
    if (fetchedOffset !== position) {
      this.stats.disturbances += 1;
      this.#evidence.disturbed();
      this.#seek(consumer, partition);
      this.#options.handler.onDisturbance(
        `partition ${partition} was read at offset ${fetchedOffset} instead of ${position}`,
      );
      return;
    }
    await this.#deliver(batch, () => isRunning() && !isStale() && !this.#stopping.signal.aborted, heartbeat);
  }

  /** Hands a fetched batch on in slices of one memory block each, a few thousand records at most. */
  async #deliver(batch: Batch, goOn: () => boolean, heartbeat: () => Promise<void>): Promise<void> {
    const { partition, messages } = batch;
    const { handler } = this.#options;
    const builder = this.#builder;
    const afterBatch = Number(batch.lastOffset()) + 1;
    let at = 0;
    while (at < messages.length) {
      const first = messages[at]!;
      builder.start(partition, first.key ?? first.value);
      for (; at < messages.length; at += 1) {
        const message = messages[at]!;
        if (!builder.takes(message.key) || !builder.takes(message.value)) break;
        addMessage(builder, message);
      }
      if (builder.count === 0) throw new Error('a record’s key and value lie in different memory blocks');
      const nextOffset = at === messages.length ? afterBatch : Number(messages[at]!.offset);
      await handler.onBatch(builder.finish(nextOffset, -1));
      this.#positions[partition] = nextOffset;
      if (!goOn()) return;
      await heartbeat();
    }
  }

  /** A batch of control records, aborted records or both: kafkajs steps over it and only its instrumentation tells. */
  #onFiltered(partition: number, nextOffset: number): void {
    this.#evidence.arrived(partition);
    const position = this.#positions[partition];
    if (position === undefined || nextOffset <= position) return;
    this.#positions[partition] = nextOffset;
    this.#options.handler.onGap(partition, nextOffset, -1);
  }

  async #probeTail(signal: AbortSignal): Promise<void> {
    const { ends, leadership, handler } = this.#options;
    const bounds = await ends();
    if (bounds.every(({ partition, end }) => end <= (this.#positions[partition] ?? 0))) return;
    const { leaders, brokers } = await leadership();
    if (signal.aborted) return;
    this.#brokers = brokers;
    for (const { partition, end } of bounds) {
      const position = this.#positions[partition];
      const leader = leaders[partition];
      if (position === undefined || leader === undefined || end <= position) continue;
      const emptyUpTo = this.#evidence.examine(partition, position, end, leader);
      // The reader's own position stays: if the evidence deceives, what arrives later is still delivered.
      if (emptyUpTo !== undefined) handler.onGap(partition, emptyUpTo, -1);
    }
  }

  async #commit(consumer: Consumer): Promise<void> {
    const { topic } = this.#options;
    const positions = [...this.#positions];
    const changed = positions
      .map((offset, partition) => ({ topic, partition, offset: String(offset) }))
      .filter(({ partition }) => positions[partition] !== this.#committed[partition]);
    if (changed.length === 0) return;
    await consumer.commitOffsets(changed);
    this.#committed = positions;
  }

  /** Runs `task` now and then until aborted; its failures are detail, for nothing depends on one run. */
  async #repeat(signal: AbortSignal, everyMs: number, task: () => Promise<void>): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await pause(clock, everyMs, signal);
      if (signal.aborted) return;
      try {
        // A task may be a call that kafkajs repeats for as long as the broker is away.
        await unlessAborted(task(), signal);
      } catch (error) {
        logger.debug({ err: error }, 'a background task of the log reader failed');
      }
    }
  }

  async #disconnect(consumer: Consumer): Promise<void> {
    const { clock, logger } = this.#options;
    try {
      await Promise.race([consumer.disconnect(), pause(clock, stopWithinMs)]);
    } catch (error) {
      logger.debug({ err: error }, 'a consumer did not disconnect cleanly');
    }
  }
}

function addMessage(builder: SliceBuilder, message: KafkaMessage): void {
  builder.add(
    Number(message.offset),
    Number(message.timestamp),
    message.key,
    message.value,
    asHeaders(message.headers),
  );
}

function asHeaders(headers: IHeaders | undefined): RecordHeaders | undefined {
  if (headers === undefined) return undefined;
  let result: Map<string, Buffer> | undefined;
  for (const name in headers) {
    const values = headers[name];
    // A header that is there several times counts as its last value, as Kafka's own `lastHeader` does.
    const value = Array.isArray(values) ? values.at(-1) : values;
    if (value === undefined || value === null) continue;
    result ??= new Map();
    result.set(name, Buffer.isBuffer(value) ? value : Buffer.from(value));
  }
  return result;
}
