import { KafkaError } from '../../protocol/errors.ts';
import type { BatchHeader } from '../../protocol/record-batch.ts';
import { checksum } from './checksum.ts';
import type { ActiveProducer } from './log-contract.ts';

/** A batch of an idempotent producer that may come again. */
interface SeenBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly timestampMs: number;
}

/** What is known of a producer id in this partition. */
export interface ProducerEntry {
  readonly producerId: number;
  epoch: number;
  /** The last ones of the epoch, oldest first. */
  batches: SeenBatch[];
  lastTimestampMs: number;
  /** When it last wrote, by this machine's clock: records may have any time. */
  seenMs: number;
  coordinatorEpoch: number;
  /** undefined: no transaction is open. */
  currentTxnFirstOffset: number | undefined;
}

/** The end of a transaction, for the index of aborted ones. */
export interface CompletedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly lastOffset: number;
}

export interface MarkerState {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly timestampMs: number;
}

/** Kafka's limit: a producer has at most so many requests in flight (`max.in.flight.requests.per.connection`). */
const batchesMax = 5;
const sequenceMax = 0x7fff_ffff;

/** version 2 | crc 4, of all that follows | count 4 | entries, each `entryBytes` */
const snapshotVersion = 1;
const snapshotHeaderBytes = 10;
/** producerId 8 | epoch 2 | lastSequence 4 | lastOffset 8 | offsetDelta 4 | timestamp 8 | coordinatorEpoch 4 | currentTxnFirstOffset 8 */
const entryBytes = 46;

/**
 * Idempotence and transactions of one partition (KIP-98): which sequences were seen of each producer id, and which transactions are
 * open. A producer id that is not known may start with any sequence, since what it wrote before may have been deleted.
 */
export class ProducerStates {
  readonly #entries = new Map<number, ProducerEntry>();
  /** First offsets by producer id; a later one begins further on, so the first is the lowest. */
  readonly #open = new Map<number, number>();

  /** First offset of the oldest transaction that is open; undefined: none is. */
  get firstOpenOffset(): number | undefined {
    return this.#open.values().next().value;
  }

  get size(): number {
    return this.#entries.size;
  }

  *active(): IterableIterator<ActiveProducer> {
    for (const entry of this.#entries.values()) {
      const { producerId, epoch, batches, lastTimestampMs, coordinatorEpoch, currentTxnFirstOffset } = entry;
      yield {
        producerId,
        producerEpoch: epoch,
        lastSequence: batches.at(-1)?.lastSequence ?? -1,
        lastTimestampMs,
        coordinatorEpoch,
        currentTxnStartOffset: currentTxnFirstOffset ?? -1,
      };
    }
  }

  /**
   * Answers where the batch was appended before, if it was. Throws a `KafkaError` INVALID_PRODUCER_EPOCH,
   * OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_TXN_STATE for one that may not be appended. `checksSequence`: not for the broker's own
   * batches, which have none.
   */
  check(header: BatchHeader, checksSequence: boolean): SeenBatch | undefined {
    const entry = this.#entries.get(header.producerId);
    if (entry === undefined) return undefined;
    const firstSequence = header.baseSequence;
    if (checksSequence && header.producerEpoch === entry.epoch) {
      const lastSequence = plusSequence(firstSequence, header.count - 1);
      const seen = entry.batches.find(
        (batch) => batch.firstSequence === firstSequence && batch.lastSequence === lastSequence,
      );
      if (seen !== undefined) return seen;
    }
    checkEpoch(entry, header.producerEpoch);
    if (checksSequence) checkSequence(entry, header.producerEpoch, firstSequence);
    if (entry.currentTxnFirstOffset !== undefined && !header.isTransactional) {
      throw new KafkaError(
        'INVALID_TXN_STATE',
        `Producer ${entry.producerId} has an open transaction, and the batch is not part of one.`,
      );
    }
    return undefined;
  }

  /** The batch is in the log. */
  add(header: BatchHeader, seenMs: number): void {
    const entry = this.#entryOf(header.producerId, header.producerEpoch);
    if (header.baseSequence >= 0) {
      entry.batches.push({
        firstSequence: header.baseSequence,
        lastSequence: plusSequence(header.baseSequence, header.lastOffset - header.baseOffset),
        baseOffset: header.baseOffset,
        lastOffset: header.lastOffset,
        timestampMs: header.maxTimestampMs,
      });
      if (entry.batches.length > batchesMax) entry.batches.shift();
    }
    entry.lastTimestampMs = header.maxTimestampMs;
    entry.seenMs = seenMs;
    if (header.isTransactional && entry.currentTxnFirstOffset === undefined) this.#begin(entry, header.baseOffset);
  }

  /** Throws a `KafkaError` INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED for a marker that comes too late. */
  checkMarker({ producerId, producerEpoch, coordinatorEpoch }: MarkerState): void {
    const entry = this.#entries.get(producerId);
    if (entry === undefined) return;
    checkEpoch(entry, producerEpoch);
    if (coordinatorEpoch < entry.coordinatorEpoch) {
      throw new KafkaError(
        'TRANSACTION_COORDINATOR_FENCED',
        `Coordinator epoch ${coordinatorEpoch} is below ${entry.coordinatorEpoch}, the last one of producer ${producerId}.`,
      );
    }
  }

  /** The marker is in the log. undefined: no transaction was open. */
  addMarker(marker: MarkerState, offset: number, seenMs: number): CompletedTransaction | undefined {
    const entry = this.#entryOf(marker.producerId, marker.producerEpoch);
    const firstOffset = entry.currentTxnFirstOffset;
    entry.coordinatorEpoch = marker.coordinatorEpoch;
    entry.lastTimestampMs = marker.timestampMs;
    entry.seenMs = seenMs;
    entry.currentTxnFirstOffset = undefined;
    this.#open.delete(entry.producerId);
    return firstOffset === undefined ? undefined : { producerId: entry.producerId, firstOffset, lastOffset: offset };
  }

  /** Whether compaction must leave the batch for the producer's state to be found again in the log. */
  isLastOf(header: BatchHeader): boolean {
    const entry = this.#entries.get(header.producerId);
    if (entry === undefined) return false;
    const last = entry.batches.at(-1);
    return last === undefined
      ? header.isControl && header.producerEpoch === entry.epoch
      : header.lastOffset === last.lastOffset;
  }

  /** Forgets who has not written since `beforeMs`; an open transaction keeps its producer. */
  expire(beforeMs: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.seenMs < beforeMs && entry.currentTxnFirstOffset === undefined) this.#entries.delete(entry.producerId);
    }
  }

  /** In the format of Kafka's `.snapshot` files, which have the last batch of each producer only. */
  snapshot(): Buffer {
    const buffer = Buffer.alloc(snapshotHeaderBytes + this.#entries.size * entryBytes);
    buffer.writeInt16BE(snapshotVersion, 0);
    buffer.writeInt32BE(this.#entries.size, 6);
    let at = snapshotHeaderBytes;
    for (const entry of this.#entries.values()) {
      const last = entry.batches.at(-1);
      buffer.writeBigInt64BE(BigInt(entry.producerId), at);
      buffer.writeInt16BE(entry.epoch, at + 8);
      buffer.writeInt32BE(last?.lastSequence ?? -1, at + 10);
      buffer.writeBigInt64BE(BigInt(last?.lastOffset ?? -1), at + 14);
      buffer.writeInt32BE(last === undefined ? 0 : last.lastOffset - last.baseOffset, at + 22);
      buffer.writeBigInt64BE(BigInt(entry.lastTimestampMs), at + 26);
      buffer.writeInt32BE(entry.coordinatorEpoch, at + 34);
      buffer.writeBigInt64BE(BigInt(entry.currentTxnFirstOffset ?? -1), at + 38);
      at += entryBytes;
    }
    buffer.writeUInt32BE(checksum(buffer.subarray(6)), 2);
    return buffer;
  }

  /** undefined: the bytes are not a whole snapshot. `nowMs` counts as when each producer last wrote. */
  static parse(buffer: Buffer, nowMs: number): ProducerStates | undefined {
    if (buffer.length < snapshotHeaderBytes || buffer.readInt16BE(0) !== snapshotVersion) return undefined;
    const count = buffer.readInt32BE(6);
    if (buffer.length !== snapshotHeaderBytes + count * entryBytes) return undefined;
    if (buffer.readUInt32BE(2) !== checksum(buffer.subarray(6))) return undefined;
    const states = new ProducerStates();
    const opened: ProducerEntry[] = [];
    for (let at = snapshotHeaderBytes; at < buffer.length; at += entryBytes) {
      const entry = entryFrom(buffer, at, nowMs);
      states.#entries.set(entry.producerId, entry);
      if (entry.currentTxnFirstOffset !== undefined) opened.push(entry);
    }
    opened.sort((one, other) => one.currentTxnFirstOffset! - other.currentTxnFirstOffset!);
    for (const { producerId, currentTxnFirstOffset } of opened) states.#open.set(producerId, currentTxnFirstOffset!);
    return states;
  }

  #begin(entry: ProducerEntry, firstOffset: number): void {
    entry.currentTxnFirstOffset = firstOffset;
    this.#open.set(entry.producerId, firstOffset);
  }

  #entryOf(producerId: number, epoch: number): ProducerEntry {
    let entry = this.#entries.get(producerId);
    if (entry === undefined) {
      entry = {
        producerId,
        epoch,
        batches: [],
        lastTimestampMs: -1,
        seenMs: 0,
        coordinatorEpoch: -1,
        currentTxnFirstOffset: undefined,
      };
      this.#entries.set(producerId, entry);
    } else if (entry.epoch !== epoch) {
      entry.epoch = epoch;
      entry.batches = [];
    }
    return entry;
  }
}

function entryFrom(buffer: Buffer, at: number, nowMs: number): ProducerEntry {
  const lastSequence = buffer.readInt32BE(at + 10);
  const lastOffset = Number(buffer.readBigInt64BE(at + 14));
  const offsetDelta = buffer.readInt32BE(at + 22);
  const timestampMs = Number(buffer.readBigInt64BE(at + 26));
  const firstOffset = Number(buffer.readBigInt64BE(at + 38));
  const last: SeenBatch = {
    firstSequence: plusSequence(lastSequence, -offsetDelta),
    lastSequence,
    baseOffset: lastOffset - offsetDelta,
    lastOffset,
    timestampMs,
  };
  return {
    producerId: Number(buffer.readBigInt64BE(at)),
    epoch: buffer.readInt16BE(at + 8),
    batches: lastSequence < 0 ? [] : [last],
    lastTimestampMs: timestampMs,
    seenMs: nowMs,
    coordinatorEpoch: buffer.readInt32BE(at + 34),
    currentTxnFirstOffset: firstOffset < 0 ? undefined : firstOffset,
  };
}

function checkEpoch({ producerId, epoch }: ProducerEntry, producerEpoch: number): void {
  if (producerEpoch >= epoch) return;
  throw new KafkaError(
    'INVALID_PRODUCER_EPOCH',
    `Epoch ${producerEpoch} of producer ${producerId} is below ${epoch}, the last one that was seen.`,
  );
}

function checkSequence(
  { producerId, epoch, batches }: ProducerEntry,
  producerEpoch: number,
  firstSequence: number,
): void {
  const lastSequence = producerEpoch === epoch ? (batches.at(-1)?.lastSequence ?? -1) : -1;
  if (firstSequence === plusSequence(lastSequence, 1)) return;
  throw new KafkaError(
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    `Sequence ${firstSequence} of producer ${producerId} in epoch ${producerEpoch} does not follow ${lastSequence}.`,
  );
}

/** Sequences go from 0 to 2^31 - 1 and then on from 0. -1, which is before the first, is followed by 0. */
function plusSequence(sequence: number, delta: number): number {
  const sum = sequence + delta;
  if (sum > sequenceMax) return sum - sequenceMax - 1;
  return sum < 0 ? sum + sequenceMax + 1 : sum;
}
