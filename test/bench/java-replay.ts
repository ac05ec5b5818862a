import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runWell } from '../support/conformance/program.ts';
import { type JavaProgram, javaProgram, KAFKA_VERSION } from '../support/kafka/java.ts';

const sourcePath = fileURLToPath(new URL('java/Replay.java', import.meta.url));
const pomPath = fileURLToPath(new URL('../support/conformance/streams/pom.xml', import.meta.url));
/** Room for ten million keys; else as Java is by default. */
const jvmFlags = ['-Xmx12g', '-Dfile.encoding=UTF-8'];
const timeoutMs = 300_000;

export const topicCodecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type TopicCodec = (typeof topicCodecs)[number];

/** What `java/Replay.java` prints. */
export interface JavaReplayed {
  readonly elapsedMs: number;
  /** Of the heap, what the table and its program keep alive. */
  readonly heapBytes: number;
  /** See `sampleDigest`. */
  readonly digest: number;
}

/** Kafka's clients and Streams for Java, downloaded on first use; `Unavailable` where there can be none. */
export function javaStreams(): Promise<JavaProgram> {
  return javaProgram({ name: 'Kafka-Streams', version: KAFKA_VERSION, megabytes: 26, pomPath });
}

export interface ReplayTopic {
  readonly brokerList: string;
  readonly topic: string;
  readonly records: number;
}

/** Fills the topic, partitioned by key as Java does. */
export function produceTopic(program: JavaProgram, topic: ReplayTopic, codec: TopicCodec): Promise<JavaReplayed> {
  return runReplay(program, 'produce', topic, codec);
}

/** Kafka's consumer, and a HashMap. */
export function intoHashMap(program: JavaProgram, topic: ReplayTopic): Promise<JavaReplayed> {
  return runReplay(program, 'hashmap', topic);
}

/** Kafka Streams with one GlobalKTable in memory, from its start until it runs. */
export async function intoGlobalTable(program: JavaProgram, topic: ReplayTopic): Promise<JavaReplayed> {
  const folder = await mkdtemp(join(tmpdir(), 'bitacora-bench-streams-'));
  try {
    return await runReplay(program, 'globaltable', topic, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function runReplay(
  { java, classPath }: JavaProgram,
  mode: string,
  { brokerList, topic, records }: ReplayTopic,
  ...more: readonly string[]
): Promise<JavaReplayed> {
  const args = [...jvmFlags, '-cp', classPath, sourcePath, mode, brokerList, topic, String(records), ...more];
  const { stdout } = await runWell(java, args, { timeoutMs });
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as JavaReplayed;
}
