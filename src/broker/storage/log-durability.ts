import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../kernel/logger.ts';
import { offsetFileName, snapshotSuffix } from './file-names.ts';
import { GroupFlush } from './group-flush.ts';
import { manifestFile, manifestText, replaceManifest } from './manifest.ts';
import type { ProducerStates } from './producer-state.ts';
import type { Segment } from './segment.ts';
import { replaceFile, syncFolder } from './whole-file.ts';

/** What there is to make last, as it changes. */
export interface ChangingLog {
  readonly segments: readonly Segment[];
  readonly logStartOffset: number;
  readonly cleanOffset: number;
  readonly endOffset: number;
  readonly producers: ProducerStates;
}

/**
 * Brings a log to the disk: its batches, and beside them what makes the next start short, which is a snapshot of the producers at each
 * segment's beginning and the manifest of the segments that are on the disk and do not change.
 */
export class LogDurability {
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #log: ChangingLog;
  readonly #flush: GroupFlush;
  /** Offsets of the snapshots that there are. */
  #snapshots: readonly number[];
  /** Files were made, renamed or removed so many times, and so many of them are sure to last. */
  #nameChanges = 1;
  #syncedNameChanges = 0;
  #checkpoints: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(options: {
    readonly folder: string;
    readonly logger: Logger;
    readonly log: ChangingLog;
    readonly snapshots: readonly number[];
  }) {
    this.#folder = options.folder;
    this.#logger = options.logger;
    this.#log = options.log;
    this.#snapshots = options.snapshots;
    const unsynced = options.log.segments.find(({ isSynced }) => !isSynced);
    this.#flush = new GroupFlush(unsynced?.baseOffset ?? options.log.endOffset, () => this.#sync());
  }

  /** Nothing can be made to last any more. */
  get hasFailed(): boolean {
    return this.#flush.hasFailed;
  }

  /** Resolves when everything before `offset` is on the disk. Rejects with a `KafkaError` KAFKA_STORAGE_ERROR. */
  upTo(offset: number): Promise<void> {
    return this.#flush.upTo(offset);
  }

  /** Files were made, renamed or removed. */
  noteNames(): void {
    this.#nameChanges += 1;
  }

  /** Keeps the state of the producers as it is at the end. Throws what the system says. */
  writeSnapshot(): void {
    const { endOffset, producers } = this.#log;
    replaceFile(join(this.#folder, offsetFileName(endOffset, snapshotSuffix)), producers.snapshot());
    this.#snapshots = [...this.#snapshots, endOffset];
  }

  /**
   * Puts the manifest in place now, but does not force it to the disk: a loss of power may bring an older one back, or none. Throws what
   * the system says. `without`: segments that it is not to vouch for any more.
   */
  saveNow(without: readonly Segment[] = []): void {
    replaceFile(join(this.#folder, manifestFile), this.#manifestText(without));
  }

  /** In the background: what takes no more appends goes to the disk, and then into the manifest. */
  checkpoint(): Promise<void> {
    this.#checkpoints = this.#checkpoints.then(async () => {
      if (this.#isStopping) return;
      try {
        await this.#flush.upTo(this.#log.segments.at(-1)!.baseOffset);
        await this.#save();
      } catch (error) {
        this.#logger.error({ err: error, folder: this.#folder }, 'the manifest of a log cannot be written');
      }
    });
    return this.#checkpoints;
  }

  /** Resolves when nothing is under way, and nothing more will begin in the background. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#checkpoints;
    await this.#flush.settled();
  }

  /** Has the next start find all of the log in the manifest. Rejects with a `KafkaError` or what the system says. */
  async settle(): Promise<void> {
    await this.#flush.upTo(this.#log.endOffset);
    this.writeSnapshot();
    this.#log.segments.at(-1)!.writeIndexes();
    await this.#save();
  }

  /** Everything there is, to the disk. Answers the offset up to which that is so. */
  async #sync(): Promise<number> {
    const { endOffset } = this.#log;
    for (const segment of [...this.#log.segments]) {
      await segment.sync();
      if (segment !== this.#log.segments.at(-1)) segment.closeWriting();
    }
    await this.#syncNames();
    return endOffset;
  }

  async #syncNames(): Promise<void> {
    const changes = this.#nameChanges;
    if (changes === this.#syncedNameChanges) return;
    await syncFolder(this.#folder);
    this.#syncedNameChanges = changes;
  }

  async #save(): Promise<void> {
    await replaceManifest(join(this.#folder, manifestFile), () => this.#manifestText([]));
    await this.#syncNames();
    await this.#removeSnapshots();
  }

  #manifestText(without: readonly Segment[]): string {
    const { logStartOffset, cleanOffset } = this.#log;
    const known = this.#log.segments.filter((segment) => segment.isSynced && !without.includes(segment));
    const segments = known.flatMap(({ facts, checksums }) => (checksums === undefined ? [] : { ...facts, checksums }));
    return manifestText({ logStartOffset, cleanOffset, segments });
  }

  /** Those that no start will need: before every segment that it would have to scan. */
  async #removeSnapshots(): Promise<void> {
    const { segments } = this.#log;
    const isKnown = ({ isSynced, checksums }: Segment): boolean => isSynced && checksums !== undefined;
    const needed = segments.find((segment) => segment === segments.at(-1) || !isKnown(segment))!.baseOffset;
    const old = this.#snapshots.filter((offset) => offset < needed);
    this.#snapshots = this.#snapshots.filter((offset) => offset >= needed);
    for (const offset of old) await rm(join(this.#folder, offsetFileName(offset, snapshotSuffix)), { force: true });
  }
}
