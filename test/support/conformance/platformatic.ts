import { createHash } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Unavailable } from '../kafka/unavailable.ts';
import { keptFolder } from './kept.ts';
import { runWell } from './program.ts';

const listed = fileURLToPath(new URL('platformatic/', import.meta.url));
const installTimeoutMs = 120_000;

interface Options {
  clientId: string;
  bootstrapBrokers: string[];
  retries?: number;
}

export interface PlatformaticMessage {
  topic: string;
  key?: string | undefined;
  value?: string | undefined;
  partition?: number;
  timestamp?: bigint;
  headers?: Record<string, string>;
}

export interface PlatformaticRecord {
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly headers: ReadonlyMap<string, string>;
  readonly partition: number;
  readonly offset: bigint;
  readonly timestamp: bigint;
  commit(): Promise<void>;
}

interface Sent {
  offsets?: { topic: string; partition: number; offset: bigint }[];
}

interface Transaction {
  send(options: { messages: PlatformaticMessage[] }): Promise<Sent>;
  addConsumer(consumer: PlatformaticConsumer): Promise<void>;
  addOffset(record: PlatformaticRecord): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

export interface PlatformaticProducer {
  send(options: { messages: PlatformaticMessage[]; acks?: number }): Promise<Sent>;
  beginTransaction(): Promise<Transaction>;
  close(): Promise<void>;
}

export interface PlatformaticStream extends AsyncIterable<PlatformaticRecord> {
  on(event: 'data', listener: (record: PlatformaticRecord) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  close(): Promise<void>;
}

export interface PlatformaticConsumer {
  readonly assignments: { topic: string; partitions: number[] }[] | null;
  consume(options: {
    topics: string[];
    mode: 'earliest' | 'latest' | 'committed' | 'manual';
    fallbackMode?: 'earliest';
    offsets?: { topic: string; partition: number; offset: bigint }[];
    autocommit?: boolean | number;
  }): Promise<PlatformaticStream>;
  commit(options: {
    offsets: { topic: string; partition: number; offset: bigint; leaderEpoch: number }[];
  }): Promise<void>;
  listOffsets(options: { topics: string[]; timestamp?: bigint }): Promise<Map<string, bigint[]>>;
  listCommittedOffsets(options: { topics: { topic: string; partitions: number[] }[] }): Promise<Map<string, bigint[]>>;
  close(force?: boolean): Promise<void>;
}

export interface PlatformaticAdmin {
  listTopics(): Promise<string[]>;
  createTopics(options: {
    topics: string[];
    partitions: number;
    replicas: number;
    configs?: { name: string; value: string }[];
  }): Promise<
    { name: string; id: string; partitions: number; replicas: number; configuration: Record<string, string> }[]
  >;
  createPartitions(options: {
    topics: { name: string; count: number; assignments: { brokerIds: number[] }[] }[];
  }): Promise<void>;
  deleteTopics(options: { topics: string[] }): Promise<void>;
  metadata(options: { topics: string[]; forceUpdate?: boolean }): Promise<{
    id: string;
    brokers: Map<number, { host: string; port: number }>;
    topics: Map<string, { id: string; partitionsCount: number }>;
  }>;
  describeConfigs(options: {
    resources: { resourceType: number; resourceName: string; configurationKeys: string[] }[];
  }): Promise<{ configs: { name: string; value: string; configSource: number }[] }[]>;
  incrementalAlterConfigs(options: {
    resources: {
      resourceType: number;
      resourceName: string;
      configs: { name: string; configOperation: number; value: string | null }[];
    }[];
  }): Promise<void>;
  listGroups(): Promise<Map<string, { state: string; protocolType: string }>>;
  describeGroups(options: { groups: string[] }): Promise<Map<string, { state: string; members: Map<string, object> }>>;
  listConsumerGroupOffsets(options: {
    groups: string[];
  }): Promise<
    { groupId: string; topics: { name: string; partitions: { partitionIndex: number; committedOffset: bigint }[] }[] }[]
  >;
  alterConsumerGroupOffsets(options: {
    groupId: string;
    topics: { name: string; partitionOffsets: { partition: number; offset: bigint }[] }[];
  }): Promise<void>;
  deleteConsumerGroupOffsets(options: {
    groupId: string;
    topics: { name: string; partitionIndexes: number[] }[];
  }): Promise<unknown>;
  deleteGroups(options: { groups: string[] }): Promise<void>;
  listOffsets(options: {
    topics: { name: string; partitions: { partitionIndex: number; timestamp: bigint }[] }[];
  }): Promise<{ name: string; partitions: { partitionIndex: number; offset: bigint }[] }[]>;
  deleteRecords(options: {
    topics: { name: string; partitions: { partition: number; offset: bigint }[] }[];
  }): Promise<{ partitions: { partition: number; lowWatermark: bigint }[] }[]>;
  describeLogDirs(options: {
    topics: { name: string; partitions: number[] }[];
  }): Promise<
    { results: { topics: { name: string; partitions: { partitionIndex: number; partitionSize: bigint }[] }[] }[] }[]
  >;
  close(): Promise<void>;
}

/** What the suite uses of the client. Its own types are not at hand, as it is not one of the project's dependencies. */
export interface Platformatic {
  Producer: new (
    options: Options & {
      serializers: object;
      compression?: string;
      idempotent?: boolean;
      transactionalId?: string;
    },
  ) => PlatformaticProducer;
  Consumer: new (
    options: Options & {
      deserializers: object;
      groupId: string;
      groupProtocol?: 'classic' | 'consumer';
      groupInstanceId?: string;
      isolationLevel?: number;
      maxWaitTime?: number;
      sessionTimeout?: number;
      heartbeatInterval?: number;
    },
  ) => PlatformaticConsumer;
  Admin: new (options: Options) => PlatformaticAdmin;
  stringSerializers: object;
  stringDeserializers: object;
}

/** The client, downloaded on first use; `Unavailable` where it cannot be. */
export async function platformaticKafka(): Promise<Platformatic> {
  const lock = await readFile(join(listed, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex').slice(0, 12);
  const folder = await keptFolder(`platformatic-kafka-${hash}`, async (unfinished) => {
    for (const name of ['package.json', 'package-lock.json'])
      await copyFile(join(listed, name), join(unfinished, name));
    // Two of its packages declare Node.js 22, which only their own tools need.
    const args = ['ci', '--no-engine-strict', '--no-audit', '--no-fund'];
    await runWell('npm', args, { cwd: unfinished, timeoutMs: installTimeoutMs }).catch((error: Error) => {
      throw new Unavailable(`@platformatic/kafka cannot be installed: ${error.message}`);
    });
  });
  const entry = join(folder, 'node_modules/@platformatic/kafka/dist/index.js');
  return (await import(pathToFileURL(entry).href)) as Platformatic;
}
