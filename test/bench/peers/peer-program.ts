import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { killWhenThisProcessDies } from '../../support/kafka/java.ts';
import { freePort, retryLostPorts } from '../../support/kafka/ports.ts';

/** A program that a node is compared with. It is never installed here: it takes part where it is there. */
export interface PeerProgram {
  readonly name: string;
  /** The file's name, looked for in the folders of PATH. */
  readonly file: string;
  /** Of the environment: the file's path. */
  readonly variable: string;
  /** For a person. */
  readonly howToGet: string;
}

const startWithinMs = 20_000;
const logExcerptCharacters = 2_000;

/** The path of the program; undefined, which is said, when this machine has not got it. */
export async function findPeer({ name, file, variable, howToGet }: PeerProgram): Promise<string | undefined> {
  const named = process.env[variable];
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const candidates = named ? [named] : folders.map((folder) => join(folder, file));
  for (const candidate of candidates) {
    if (await isExecutable(candidate)) return candidate;
  }
  console.warn(`${name} is left out, because it is not installed: ${howToGet}, or name it in ${variable}`);
  return undefined;
}

export interface PeerPlace {
  readonly port: number;
  /** Its own, empty at first. */
  readonly folder: string;
}

/** A peer's server, with a port and a folder of its own, for no longer than this process lives. */
export class PeerServer {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, { port, folder }: PeerPlace) {
    this.#child = child;
    this.port = port;
    this.#folder = folder;
    const guard = killWhenThisProcessDies(this.pid, folder);
    child.once('exit', () => guard.kill('SIGKILL'));
  }

  /** Starts `path` with the arguments of its place, and resolves once `answers` does not reject any more. */
  static start(
    path: string,
    argumentsFor: (place: PeerPlace) => Promise<readonly string[]>,
    answers: (port: number) => Promise<unknown>,
  ): Promise<PeerServer> {
    return retryLostPorts(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'bitacora-bench-peer-'));
      const place = { port: await freePort(), folder };
      const logPath = join(folder, 'server.log');
      const log = await open(logPath, 'a');
      const child = spawn(path, await argumentsFor(place), { stdio: ['ignore', log.fd, log.fd] });
      await once(child, 'spawn');
      await log.close();
      const server = new PeerServer(child, place);
      try {
        const signal = AbortSignal.timeout(startWithinMs);
        while (!(await doesNotReject(answers(place.port)))) {
          if (child.exitCode !== null || signal.aborted) {
            const output = await readFile(logPath, 'utf8');
            throw new Error(`${path} did not start:\n${output.slice(-logExcerptCharacters)}`);
          }
          await delay(50);
        }
        return server;
      } catch (error) {
        await server.stop();
        throw error;
      }
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Ends it for good and removes its data. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function doesNotReject(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  );
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
