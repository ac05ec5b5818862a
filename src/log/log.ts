import type { Service } from '../kernel/lifecycle.ts';

/**
 * The log under the database: an ordered, durable sequence of records in each partition of one topic.
 *
 * Offsets are integers below 2^53. A *position* is the next offset to read, never the last one read: control records and
 * compaction leave gaps in a partition, so "last record + 1" and "next to read" differ.
 *
 * Errors. Every method rejects with a `BitacoraError` of one of these codes and no other:
 * - `log_unavailable`: no answer was had; nothing was changed. The caller may try again.
 * - `log_rejected`: the log answered that it will not (authorization, policy, a fault of configuration). Nothing was changed.
 * - `write_outcome_unknown` (append only): the record may or may not be in the log, now or later.
 * - `overloaded` (append only): the queue is full; nothing was written.
 * - `value_too_large` (append only): the topic does not take a record of this size; nothing was written.
 * - `shutting_down` (append only): `drain` was called; nothing was written.
 */
export interface Log extends Service {
  /** The topic as it is now, or undefined when there is none. */
  describe(): Promise<TopicDescription | undefined>;

  /** Creates the topic; not an error when somebody else has just done so. */
  create(settings: TopicSettings): Promise<void>;

  /** The bounds of every partition, in partition order, as they were at some instant after the call. */
  ends(): Promise<readonly PartitionEnds[]>;

  /** The first offset whose record's timestamp is `timestampMs` or later; the partition's end when there is none. */
  firstOffsetSince(partition: number, timestampMs: number): Promise<number>;

  /**
   * Appends one record and resolves once every in-sync replica has it. Records given to one partition one after another
   * keep that order. The buffers must not be changed until the promise settles.
   */
  append(record: AppendRecord): Promise<Appended>;

  /** Reads every partition from where it is told (one each, in partition order) until stopped. One reader at a time. */
  read(from: readonly ReadFrom[], handler: ReadHandler): LogReader;
}

export interface ReadFrom {
  /** The position: the next offset to read. */
  readonly offset: number;
  /**
   * The leader epoch of what was read last before `knownTo`, by which a log that was truncated below that is found out (KIP-320);
   * -1 where nothing was, or it is not known.
   */
  readonly leaderEpoch: number;
  /**
   * Records below this may have been read already. Absent: below `offset`. More than that when memory comes from a snapshot,
   * which was written beside the apply loop: it has some of the records past the position from where it has to be read on, and
   * when the log has lost those, what is in memory is worth as little.
   */
  readonly knownTo?: number;
}

export interface TopicDescription {
  readonly topic: string;
  /** The cluster's own id; undefined where the log has none. */
  readonly clusterId: string | undefined;
  /** The topic's own id, which another topic of the same name has not (KIP-516); undefined where the log does not tell. */
  readonly topicId: string | undefined;
  readonly partitions: number;
  /** As the topic's configuration has it, e.g. `compact` or `compact,delete`. */
  readonly cleanupPolicy: string;
  readonly deleteRetentionMs: number;
  readonly maxMessageBytes: number;
  readonly minInsyncReplicas: number;
  readonly replicationFactor: number;
}

export interface TopicSettings {
  readonly partitions: number;
  /** Largest record batch the topic takes, in bytes. */
  readonly maxMessageBytes: number;
  /**
   * For a topic whose few keys are written over and over: how much of it may lie uncompacted. A reader reads all of that at
   * every start. The cluster's own settings where absent.
   */
  readonly uncompactedBytesMax?: number;
}

export interface PartitionEnds {
  readonly partition: number;
  /** First offset that can still be read. */
  readonly earliest: number;
  /** The position of a reader that has everything there is to read: the last stable offset where the log has transactions. */
  readonly end: number;
}

export type RecordHeaders = ReadonlyMap<string, Buffer>;

export interface AppendRecord {
  readonly partition: number;
  readonly key: Buffer;
  /** null deletes the key (a tombstone). */
  readonly value: Buffer | null;
  readonly headers?: RecordHeaders;
  /** Used unless the topic stamps records itself. */
  readonly timestampMs: number;
}

export interface Appended {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
}

/**
 * Some consecutive records of one partition, as columns over one buffer: record i's key is
 * `buffer[keyStarts[i], keyStarts[i] + keyLengths[i])`, likewise its value; a length of -1 means null. No object is made
 * for a record, because at replay speed making one costs more than everything else together.
 *
 * The log owns the buffer and the arrays and uses them again: they are valid until `onBatch` resolves, and whoever keeps
 * bytes copies them.
 */
export interface RecordSlices {
  readonly partition: number;
  readonly count: number;
  readonly buffer: Buffer;
  readonly offsets: Float64Array;
  readonly timestampsMs: Float64Array;
  readonly keyStarts: Float64Array;
  readonly keyLengths: Int32Array;
  readonly valueStarts: Float64Array;
  readonly valueLengths: Int32Array;
  /** Sparse: only records that have headers; undefined when none does. */
  readonly headers: ReadonlyMap<number, RecordHeaders> | undefined;
  /** The reader's position after these records. */
  readonly nextOffset: number;
  /** The leader epoch under which the last of them was appended; -1 where the log does not tell. */
  readonly leaderEpoch: number;
}

export interface ReadHandler {
  /** Called for one batch at a time; the reader goes on when the promise resolves. Must not reject. */
  onBatch(batch: RecordSlices): Promise<void>;
  /** Offsets below `nextOffset` that were not delivered hold nothing to deliver: control records, aborted or compacted ones. */
  onGap(partition: number, nextOffset: number, leaderEpoch: number): void;
  /**
   * The log answered from elsewhere than the reader's position, or asked it to start over: the topic may have been
   * truncated or made anew. The reader has gone back to its position; whoever owns it compares `ends` with what it has.
   */
  onDisturbance(reason: string): void;
  /**
   * What was read is not all in the log any more: the log was truncated below the position, or the topic is another one. The
   * reader delivers nothing more; whoever owns it stops it, and reads everything again.
   */
  onLineageLost(reason: string): void;
}

export interface LogReader {
  /** No call of the handler is made after the promise resolves. */
  stop(): Promise<void>;
}
