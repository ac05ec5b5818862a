import { type ExecFileException, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { Unavailable } from './unavailable.ts';

const OLDEST_JAVA = 17;
const MAVEN_TIMEOUT_MS = 240_000;

const pomPath = fileURLToPath(new URL('pom.xml', import.meta.url));
const pom = readFileSync(pomPath, 'utf8');

export const KAFKA_VERSION = /<kafka\.version>(.+)<\/kafka\.version>/.exec(pom)![1]!;

export interface JavaKafka {
  /** The java binary. */
  java: string;
  classPath: string;
}

let found: Promise<JavaKafka> | undefined;

/** Kafka's jars, downloaded on first use, and a Java to run them with; `Unavailable` where there can be none. */
export function javaKafka(): Promise<JavaKafka> {
  found ??= findJava().then(async (java) => ({ java, classPath: join(await jarsFolder(), '*') }));
  return found;
}

async function findJava(): Promise<string> {
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java';
  // Java prints its version to stderr: openjdk version "17.0.15" 2025-04-15
  const version = await promisify(execFile)(java, ['-version']).catch(() => undefined);
  const major = Number(/version "(\d+)/.exec(version?.stderr ?? '')?.[1] ?? 0);
  if (major < OLDEST_JAVA) throw new Unavailable(`there is no Java ${OLDEST_JAVA} or later`);
  return java;
}

async function jarsFolder(): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'bitacora');
  const pomHash = createHash('sha256').update(pom).digest('hex').slice(0, 12);
  const folder = join(cache, `kafka-${KAFKA_VERSION}-${pomHash}`);
  if (await exists(folder)) return folder;

  // Only a whole download gets the final name, whatever interrupts this one or runs beside it.
  await mkdir(cache, { recursive: true });
  const downloadFolder = await mkdtemp(`${folder}.download-`);
  try {
    await download(downloadFolder);
    await rename(downloadFolder, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(downloadFolder, { recursive: true, force: true });
  }
  return folder;
}

async function download(folder: string): Promise<void> {
  await promisify(execFile)('mvn', ['--version']).catch(() => {
    throw new Unavailable("there is no Maven to download Kafka's jars");
  });
  console.log(`Downloading Kafka ${KAFKA_VERSION} (54 MB, kept in the cache folder)`);
  const args = ['-q', '-B', '-f', pomPath, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`];
  await promisify(execFile)('mvn', args, { timeout: MAVEN_TIMEOUT_MS }).catch((error: ExecFileException) => {
    const cause = error.stdout?.split('\n').find((line) => line.includes('ERROR')) ?? error.message;
    throw new Unavailable(`Maven could not download Kafka's jars: ${stripVTControlCharacters(cause)}`);
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
