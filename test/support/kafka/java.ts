import { type ChildProcess, type ExecFileException, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { access, mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { Unavailable } from './unavailable.ts';

const OLDEST_JAVA = 17;
const MAVEN_TIMEOUT_MS = 240_000;
const LOG_EXCERPT_CHARACTERS = 3_000;

const pomPath = fileURLToPath(new URL('pom.xml', import.meta.url));

export const KAFKA_VERSION = /<kafka\.version>(.+)<\/kafka\.version>/.exec(readFileSync(pomPath, 'utf8'))![1]!;

/** A Java, and the jars of a program to run with it. */
export interface JavaProgram {
  /** The java binary. */
  java: string;
  classPath: string;
}

/** A program whose jars are in Maven Central. */
export interface Jars {
  /** As a person calls it. */
  name: string;
  version: string;
  megabytes: number;
  /** The pom file that lists the jars. */
  pomPath: string;
}

let found: Promise<JavaProgram> | undefined;

/** Kafka's jars, downloaded on first use, and a Java to run them with; `Unavailable` where there can be none. */
export function javaKafka(): Promise<JavaProgram> {
  found ??= javaProgram({ name: 'Kafka', version: KAFKA_VERSION, megabytes: 54, pomPath });
  return found;
}

/** A program's jars, downloaded on first use, and a Java to run them with; `Unavailable` where there can be none. */
export async function javaProgram(jars: Jars): Promise<JavaProgram> {
  const java = await findJava();
  return { java, classPath: join(await jarsFolder(jars), '*') };
}

export interface ServerPlace {
  /** Removed when this process dies. */
  folder: string;
  /** Where its output goes, after what is there already. */
  logPath: string;
}

/** Runs `args` with a program's jars, for no longer than this process lives. */
export async function spawnServer(program: JavaProgram, args: string[], place: ServerPlace): Promise<ChildProcess> {
  const log = await open(place.logPath, 'a');
  // Detached: Ctrl-C in a terminal must not end the server before the tests that use it.
  const server = spawn(program.java, ['-cp', program.classPath, ...args], {
    stdio: ['ignore', log.fd, log.fd],
    detached: true,
  });
  await once(server, 'spawn');
  await log.close();
  const guard = killWhenThisProcessDies(server.pid!, place.folder);
  server.once('exit', () => guard.kill('SIGKILL'));
  return server;
}

/** SIGKILL: the server gets no chance to flush, to say goodbye or to hand over. Resolves when it is gone. */
export async function killServer(server: ChildProcess | undefined): Promise<void> {
  if (!server || server.exitCode !== null || server.signalCode !== null) return;
  const exit = once(server, 'exit');
  server.kill('SIGKILL');
  await exit;
}

/** From the first complaint on, as a server says much more while it shuts down; else the end. */
export async function logExcerpt(logPath: string): Promise<string> {
  const log = await readFile(logPath, 'utf8');
  const complaint = log.search(/^.* (ERROR|FATAL) /m);
  return complaint < 0 ? log.slice(-LOG_EXCERPT_CHARACTERS) : log.slice(complaint, complaint + LOG_EXCERPT_CHARACTERS);
}

/**
 * A shell that blocks on a pipe from this process: however this process ends, even by SIGKILL, the pipe closes and
 * the shell ends the server and removes its folder.
 */
export function killWhenThisProcessDies(pid: number, folder: string): ChildProcess {
  const script = 'read -r _; kill -9 "$1"; rm -rf "$2"';
  return spawn('sh', ['-c', script, 'sh', String(pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
}

async function findJava(): Promise<string> {
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java';
  // Java prints its version to stderr: openjdk version "17.0.15" 2025-04-15
  const version = await promisify(execFile)(java, ['-version']).catch(() => undefined);
  const major = Number(/version "(\d+)/.exec(version?.stderr ?? '')?.[1] ?? 0);
  if (major < OLDEST_JAVA) throw new Unavailable(`there is no Java ${OLDEST_JAVA} or later`);
  return java;
}

async function jarsFolder(jars: Jars): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'bitacora');
  const pomHash = createHash('sha256')
    .update(await readFile(jars.pomPath, 'utf8'))
    .digest('hex')
    .slice(0, 12);
  const folder = join(cache, `${jars.name.toLowerCase()}-${jars.version}-${pomHash}`);
  if (await exists(folder)) return folder;

  // Only a whole download gets the final name, whatever interrupts this one or runs beside it.
  await mkdir(cache, { recursive: true });
  const downloadFolder = await mkdtemp(`${folder}.download-`);
  try {
    await download(jars, downloadFolder);
    await rename(downloadFolder, folder).catch(async (error: unknown) => {
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(downloadFolder, { recursive: true, force: true });
  }
  return folder;
}

async function download({ name, version, megabytes, pomPath }: Jars, folder: string): Promise<void> {
  await promisify(execFile)('mvn', ['--version']).catch(() => {
    throw new Unavailable(`there is no Maven to download ${name}'s jars`);
  });
  console.log(`Downloading ${name} ${version} (${megabytes} MB, kept in the cache folder)`);
  const args = ['-q', '-B', '-f', pomPath, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`];
  await promisify(execFile)('mvn', args, { timeout: MAVEN_TIMEOUT_MS }).catch((error: ExecFileException) => {
    const cause = error.stdout?.split('\n').find((line) => line.includes('ERROR')) ?? error.message;
    throw new Unavailable(`Maven could not download ${name}'s jars: ${stripVTControlCharacters(cause)}`);
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
