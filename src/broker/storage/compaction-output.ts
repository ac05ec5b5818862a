import { type BatchHeader, readHeader } from '../../protocol/record-batch.ts';
import type { AbortedTransaction } from './aborted-transactions.ts';
import type { ScannedBatch } from './batch-scan.ts';
import { cleanedSuffix } from './file-names.ts';
import { Segment } from './segment.ts';

const writeBytes = 256 * 1024;

/** The segments that compaction writes: one, unless batches have grown by being rewritten. */
export class CompactionOutput {
  readonly #folder: string;
  readonly #segmentBytesMax: number;
  readonly #indexIntervalBytes: () => number;
  readonly #segments: Segment[] = [];
  #pending: { readonly bytes: Buffer; readonly header: BatchHeader }[] = [];
  #pendingBytes = 0;
  #isUnchanged = true;

  constructor(
    folder: string,
    baseOffset: number,
    options: { readonly segmentBytesMax: number; readonly indexIntervalBytes: () => number },
  ) {
    this.#folder = folder;
    this.#segmentBytesMax = options.segmentBytesMax;
    this.#indexIntervalBytes = options.indexIntervalBytes;
    this.#begin(baseOffset);
  }

  /** Every batch was kept as it is. */
  get isUnchanged(): boolean {
    return this.#isUnchanged;
  }

  /** The batch as it is. Throws what the system says, as the others do. */
  keep({ header, buffer, at }: ScannedBatch): void {
    this.#add(Buffer.from(buffer.subarray(at, at + header.bytes)), header);
  }

  /** Another batch in the place of one. */
  rewrite(bytes: Buffer): void {
    this.#isUnchanged = false;
    this.#add(bytes, readHeader(bytes));
  }

  /** Nothing in the place of a batch. */
  drop(): void {
    this.#isUnchanged = false;
  }

  /** A marker of this transaction is the last batch that was added. */
  noteAborted(transaction: AbortedTransaction): void {
    this.#segments.at(-1)!.noteAborted(transaction);
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Has all that was added on the disk, in files that are not part of the log yet. */
  async finish(times: { readonly firstAppendMs: number; readonly lastAppendMs: number }): Promise<void> {
    this.#write();
    for (const segment of this.#segments) {
      segment.noteTimes(times.firstAppendMs, times.lastAppendMs);
      await segment.sync();
      segment.closeWriting();
    }
  }

  /** Lets go of the files; answers their paths, to be unlinked. */
  discard(): string[] {
    for (const segment of this.#segments) segment.release();
    return this.#segments.map(({ logPath }) => logPath);
  }

  #begin(baseOffset: number): void {
    const segment = new Segment(this.#folder, baseOffset, this.#indexIntervalBytes, cleanedSuffix);
    segment.create();
    this.#segments.push(segment);
  }

  #add(bytes: Buffer, header: BatchHeader): void {
    const segment = this.#segments.at(-1)!;
    const bytesBefore = segment.bytes + this.#pendingBytes;
    if (bytesBefore > 0 && bytesBefore + bytes.length > this.#segmentBytesMax) {
      this.#write();
      segment.closeWriting();
      this.#begin(header.baseOffset);
    }
    this.#pending.push({ bytes, header });
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= writeBytes) this.#write();
  }

  #write(): void {
    const segment = this.#segments.at(-1)!;
    if (this.#pending.length > 0) segment.write(Buffer.concat(this.#pending.map(({ bytes }) => bytes)));
    for (const { header } of this.#pending) segment.note(header, 0);
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
