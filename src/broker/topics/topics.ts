import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { FatalError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/logger.ts';
import { KafkaError } from '../../protocol/errors.ts';
import type { EntityQuotas } from '../quotas/quota-table.ts';
import { type FlushPolicy, PartitionLog } from '../storage/partition-log.ts';
import { syncFolder } from '../storage/whole-file.ts';
import {
  type Metadata,
  newMetadata,
  newTopicId,
  readMetadata,
  type TopicMetadata,
  writeMetadata,
} from './metadata-file.ts';
import {
  asideFolder,
  partitionFolder,
  partitionFolders,
  removeDeletedFolders,
  topicIdIn,
  writeTopicId,
} from './partition-folder.ts';
import { logConfigOf, type TopicOverrides } from './topic-configs.ts';
import { collisionOf, isInternalTopic, isTopicName, offsetsTopic, transactionsTopic } from './topic-name.ts';

export interface Topic {
  readonly name: string;
  readonly id: string;
  readonly isInternal: boolean;
  /** Whether old records go by age and size, and may be deleted by request. */
  readonly isDeletable: boolean;
  readonly overrides: TopicOverrides;
  /** By partition number. */
  readonly logs: readonly PartitionLog[];
}

export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly overrides: TopicOverrides;
}

export interface TopicsOptions {
  /** Where the files are; it is there already, and no other process uses it. */
  readonly folder: string;
  readonly flush: FlushPolicy;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** More would be a mistake of whoever asks: each is a folder with open files. */
export const partitionsMax = 10_000;

const internalOverrides: TopicOverrides = { 'cleanup.policy': 'compact', 'segment.bytes': String(100 * 1024 * 1024) };
/** Logs opened at the same time at start: enough to keep a disk busy, few enough for the table of open files. */
const openingMax = 16;

/**
 * The topics and their partitions' logs. A topic exists when the metadata file says so, which is written last when one is made and
 * first when one goes: whatever a crash leaves half-done is not there. Changes happen one after the other.
 */
export class Topics {
  readonly #options: TopicsOptions;
  readonly #byName = new Map<string, Topic>();
  readonly #byId = new Map<string, Topic>();
  readonly #removalListeners = new Set<(topic: Topic) => void>();
  #metadata: Metadata;
  #changes: Promise<unknown> = Promise.resolve();

  private constructor(options: TopicsOptions, metadata: Metadata) {
    this.#options = options;
    this.#metadata = metadata;
  }

  /** Opens all there is, and makes the broker's own topics. Rejects with a `FatalError` when the files are not this broker's. */
  static async open(options: TopicsOptions): Promise<Topics> {
    const { folder, logger } = options;
    const found = await readMetadata(folder);
    let deletedIds = found?.deletedIds ?? [];
    try {
      if (found !== undefined) await removeDeletedFolders(folder, deletedIds);
      deletedIds = [];
    } catch (error) {
      logger.warn({ err: error }, 'files of deleted topics are left for the next start');
    }
    const folders = await partitionFolders(folder);
    if (found === undefined && folders.length > 0) {
      throw new FatalError(`${folder} holds partitions and no metadata.json: restore it, or give another data folder`);
    }
    const before = found ?? newMetadata();
    const topics = new Topics(options, { ...before, epoch: before.epoch + 1, deletedIds });
    await writeMetadata(folder, topics.#metadata);
    try {
      for (const metadata of before.topics) topics.#remember(metadata, await topics.#openLogs(metadata, 0, 'existing'));
      topics.#tellStrays(folders);
      for (const name of [offsetsTopic, transactionsTopic]) {
        if (!topics.#byName.has(name)) await topics.#make({ name, partitions: 1, overrides: internalOverrides });
      }
    } catch (error) {
      await topics.close();
      throw error;
    }
    return topics;
  }

  get clusterId(): string {
    return this.#metadata.clusterId;
  }

  /** Leader epoch of every partition as long as this process lives. */
  get leaderEpoch(): number {
    return this.#metadata.epoch;
  }

  get partitionCount(): number {
    return this.#metadata.topics.reduce((sum, { partitions }) => sum + partitions, 0);
  }

  all(): IterableIterator<Topic> {
    return this.#byName.values();
  }

  find(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  findById(id: string): Topic | undefined {
    return this.#byId.get(id);
  }

  log(name: string, partition: number): PartitionLog | undefined {
    return this.#byName.get(name)?.logs[partition];
  }

  /** Is called when a topic is gone, before whoever asked for it hears so. */
  onRemoval(listener: (topic: Topic) => void): void {
    this.#removalListeners.add(listener);
  }

  /** Throws a `KafkaError` where `create` would: nothing is made. */
  checkNew({ name, partitions }: NewTopic): void {
    if (this.#byName.has(name)) throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists.`);
    if (!isTopicName(name)) {
      throw new KafkaError(
        'INVALID_TOPIC_EXCEPTION',
        'A topic name has 1 to 249 of A-Z a-z 0-9 . _ -, and is not . or ..',
      );
    }
    const other = collisionOf(name, this.#byName.keys());
    if (other !== undefined) {
      throw new KafkaError('INVALID_TOPIC_EXCEPTION', `Topic '${name}' collides with existing topic: ${other}`);
    }
    this.#checkPartitions(partitions, partitions);
  }

  create(topic: NewTopic): Promise<Topic> {
    return this.#inTurn(() => {
      this.checkNew(topic);
      return this.#make(topic);
    });
  }

  /**
   * Rejects with a `KafkaError` UNKNOWN_TOPIC_OR_PARTITION or KAFKA_STORAGE_ERROR. The id is of the topic that is meant: another may
   * have got its name while the changes before this one were made.
   */
  remove({ name, id }: { readonly name: string; readonly id: string }): Promise<void> {
    const { folder, logger } = this.#options;
    return this.#inTurn(async () => {
      const topic = this.#existing(name);
      if (topic.id !== id) throw unknownTopic();
      const others = this.#metadata.topics.filter((each) => each.name !== name);
      await this.#write({ ...this.#metadata, topics: others, deletedIds: [...this.#metadata.deletedIds, id] });
      this.#byName.delete(name);
      this.#byId.delete(topic.id);
      for (const listener of this.#removalListeners) listener(topic);
      let isGone = true;
      for (const [partition, log] of topic.logs.entries()) {
        const aside = join(folder, asideFolder(name, partition, 'delete'));
        await log.remove({ aside }).catch((error: unknown) => {
          isGone = false;
          logger.warn({ err: error, topic: name, partition }, 'files of a deleted topic are left for the next start');
        });
      }
      // The file says so with its next change: until then a start looks for what is not there.
      if (isGone) {
        const deletedIds = this.#metadata.deletedIds.filter((each) => each !== id);
        this.#metadata = { ...this.#metadata, deletedIds };
      }
    });
  }

  /** Throws a `KafkaError` where `addPartitions` would. */
  checkPartitionCount(name: string, partitions: number): void {
    const { logs } = this.#existing(name);
    if (partitions === logs.length) {
      throw new KafkaError('INVALID_PARTITIONS', `Topic already has ${logs.length} partition(s).`);
    }
    if (partitions < logs.length) {
      const has = `The topic ${name} currently has ${logs.length} partition(s)`;
      throw new KafkaError('INVALID_PARTITIONS', `${has}; ${partitions} would not be an increase.`);
    }
    this.#checkPartitions(partitions, partitions - logs.length);
  }

  addPartitions(name: string, partitions: number): Promise<void> {
    return this.#inTurn(async () => {
      this.checkPartitionCount(name, partitions);
      const topic = this.#existing(name);
      const changed = { ...this.#metadataOf(name), partitions };
      const added = await this.#openLogs(changed, topic.logs.length, 'new');
      await this.#commit(this.#metadata.topics.map((each) => (each.name === name ? changed : each)));
      this.#remember(changed, [...topic.logs, ...added]);
    });
  }

  /** `change` makes new settings of the old ones, and may throw. */
  configure(name: string, change: (overrides: TopicOverrides) => TopicOverrides): Promise<void> {
    return this.#inTurn(async () => {
      const topic = this.#existing(name);
      const changed = { ...this.#metadataOf(name), configs: change(topic.overrides) as Record<string, string> };
      await this.#commit(this.#metadata.topics.map((each) => (each.name === name ? changed : each)));
      for (const log of topic.logs) log.configure(logConfigOf(changed.configs));
      this.#remember(changed, topic.logs);
    });
  }

  /** Producer ids from here on are nobody's. */
  get firstUnreservedProducerId(): number {
    return this.#metadata.nextProducerId;
  }

  /** Resolves when the number would be found again after a crash. */
  reserveProducerIds(firstUnreservedId: number): Promise<void> {
    return this.#inTurn(() => this.#write({ ...this.#metadata, nextProducerId: firstUnreservedId }));
  }

  get quotas(): readonly EntityQuotas[] {
    return this.#metadata.quotas;
  }

  /** `change` makes new quotas of the old ones, and may throw. Resolves when they would be found again after a crash. */
  changeQuotas(change: (quotas: readonly EntityQuotas[]) => readonly EntityQuotas[]): Promise<void> {
    return this.#inTurn(async () => this.#write({ ...this.#metadata, quotas: change(this.#metadata.quotas) }));
  }

  /** Waits for what is under way, then closes every log. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      for (const { name, logs } of this.#byName.values()) {
        for (const log of logs) {
          await log
            .close()
            .catch((error: unknown) => this.#options.logger.error({ err: error, topic: name }, 'closing a log failed'));
        }
      }
      this.#byName.clear();
      this.#byId.clear();
    });
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => {});
    return done;
  }

  #existing(name: string): Topic {
    const topic = this.#byName.get(name);
    if (topic === undefined) throw unknownTopic();
    return topic;
  }

  #checkPartitions(partitions: number, added: number): void {
    if (partitions < 1) {
      throw new KafkaError('INVALID_PARTITIONS', 'Number of partitions must be larger than 0.');
    }
    if (this.partitionCount + added > partitionsMax) {
      throw new KafkaError('INVALID_PARTITIONS', `All topics together may have ${partitionsMax} partitions here.`);
    }
  }

  #metadataOf(name: string): TopicMetadata {
    return this.#metadata.topics.find((topic) => topic.name === name)!;
  }

  async #make({ name, partitions, overrides }: NewTopic): Promise<Topic> {
    const metadata: TopicMetadata = {
      name,
      id: newTopicId(),
      partitions,
      configs: overrides as Record<string, string>,
    };
    const logs = await this.#openLogs(metadata, 0, 'new');
    try {
      await this.#commit([...this.#metadata.topics, metadata]);
    } catch (error) {
      for (const log of logs) await log.remove().catch(() => {});
      throw error;
    }
    return this.#remember(metadata, logs);
  }

  #commit(topics: readonly TopicMetadata[]): Promise<void> {
    return this.#write({ ...this.#metadata, topics });
  }

  async #write(metadata: Metadata): Promise<void> {
    try {
      await writeMetadata(this.#options.folder, metadata);
    } catch (error) {
      throw storageError('metadata.json cannot be written', error);
    }
    this.#metadata = metadata;
  }

  #remember({ name, id, configs }: TopicMetadata, logs: readonly PartitionLog[]): Topic {
    const isDeletable = logConfigOf(configs).cleanupPolicy.delete;
    const topic = { name, id, isInternal: isInternalTopic(name), isDeletable, overrides: configs, logs };
    this.#byName.set(name, topic);
    this.#byId.set(id, topic);
    return topic;
  }

  /** Opens the logs from partition `from` on: all of them, or none is left open, nor on the disk where they are new. */
  async #openLogs(topic: TopicMetadata, from: number, which: 'new' | 'existing'): Promise<PartitionLog[]> {
    const logs: PartitionLog[] = [];
    for (let first = from; first < topic.partitions; first += openingMax) {
      const count = Math.min(openingMax, topic.partitions - first);
      const opening = Array.from({ length: count }, (_, index) => this.#openLog(topic, first + index, which));
      const opened = await Promise.allSettled(opening);
      for (const each of opened) if (each.status === 'fulfilled') logs.push(each.value);
      const failed = opened.find((each) => each.status === 'rejected');
      if (failed === undefined) continue;
      for (const log of logs) await (which === 'new' ? log.remove() : log.close()).catch(() => {});
      if (which === 'existing' || failed.reason instanceof KafkaError) throw failed.reason;
      throw storageError('a partition cannot be made', failed.reason);
    }
    return logs;
  }

  async #openLog(
    { name, id, configs }: TopicMetadata,
    partition: number,
    which: 'new' | 'existing',
  ): Promise<PartitionLog> {
    const folder = this.#folderOf(name, partition);
    const { flush, clock, logger } = this.#options;
    const owner = await topicIdIn(folder);
    // What a crash left of a topic that was being made or deleted. Where the id cannot be read, the name says whose it is.
    const known = owner === undefined || owner === id ? undefined : this.#byId.get(owner);
    if (which === 'new' && known !== undefined) throw sameFolder(known);
    const isOfAnother = owner !== undefined && (which === 'new' || (owner !== id && owner !== 'unreadable'));
    if (isOfAnother) {
      const aside = join(this.#options.folder, asideFolder(name, partition, 'stray'));
      logger.warn({ folder, aside }, 'a folder is of another topic than its name says, and is moved aside');
      await rename(folder, aside);
    } else if (owner === undefined && which === 'existing') {
      logger.error({ topic: name, partition }, 'the folder of a partition is gone: the partition is empty from now on');
    }
    await mkdir(folder, { recursive: true });
    try {
      if (isOfAnother || owner !== id) {
        writeTopicId(folder, id);
        await syncFolder(folder);
        await syncFolder(this.#options.folder);
      }
      return await PartitionLog.open({
        folder,
        config: logConfigOf(configs),
        clock,
        logger: logger.child({ topic: name, partition }),
        flush,
        leaderEpoch: this.leaderEpoch,
      });
    } catch (error) {
      if (which === 'new') await rm(folder, { recursive: true, force: true }).catch(() => {});
      throw error;
    }
  }

  #folderOf(name: string, partition: number): string {
    return join(this.#options.folder, partitionFolder(name, partition));
  }

  #tellStrays(folders: readonly string[]): void {
    const strays = folders.filter((name) => {
      const [, topic = '', partition] = /^(.+)-(\d+)$/.exec(name) ?? [];
      return this.log(topic, Number(partition)) === undefined;
    });
    if (strays.length === 0) return;
    this.#options.logger.warn({ folders: strays.slice(0, 10) }, `${strays.length} folders are of no topic that exists`);
  }
}

const unknownTopic = (): KafkaError =>
  new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');

/** A file system that does not tell upper from lower case: the folder is in use. */
const sameFolder = ({ name }: Topic): KafkaError =>
  new KafkaError('INVALID_TOPIC_EXCEPTION', `The files of the topic would be those of existing topic: ${name}`);

const storageError = (what: string, cause: unknown): KafkaError =>
  new KafkaError('KAFKA_STORAGE_ERROR', `${what}: ${(cause as Error).message}`, { cause });
