import { randomBytes } from 'node:crypto';
import { link, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../kernel/clock.ts';
import { FatalError } from '../kernel/errors.ts';

/** Another process, or another broker of this one, uses the folder. */
export class FolderInUseError extends FatalError {}

const touchEveryMs = 5_000;
/** A lock whose owner cannot be asked for, of another machine for one, is nobody's when it has not been touched for so long. */
const untouchedStaleMs = 30_000;
/** Whoever removes a dead owner's lock has done so by then, or was killed. */
const burialMaxMs = 5_000;
const retryMs = 50;
/** Longer than a burial may take. */
const attemptsMax = 200;

interface Owner {
  readonly pid: number;
  /** Tells a process from a later one of the same id; empty where the system does not say. */
  readonly started: string;
  readonly host: string;
  readonly token: string;
}

/**
 * Keeps two brokers off one folder by a file that names its owner. Node.js has no file locks of the system, so an owner that was
 * killed is found out by its process id and start time. Guarantee: of brokers that start at once on a folder that nobody holds, or
 * whose owner is dead, one gets it. The file is made whole under another name and linked into place, which fails where one is. A
 * dead owner's file is removed by whoever links it to a name made of that owner's token first, and only if what was linked is that
 * owner's still: a name of its own for each dead owner, so that nobody removes the lock of the one who came after. An owner in this
 * process counts as alive, since its thread cannot be asked for; only whoever has seen it end may have its lock, by its token.
 */
export class FolderLock {
  readonly #path: string;
  readonly #owner: Owner;
  #stopTouching: () => void;

  private constructor(path: string, owner: Owner, clock: Clock) {
    this.#path = path;
    this.#owner = owner;
    const touch = (): void => {
      // Nothing depends on one touch.
      this.#touch(clock).catch(() => {});
      this.#stopTouching = clock.after(touchEveryMs, touch);
    };
    this.#stopTouching = clock.after(touchEveryMs, touch);
  }

  /** Rejects with a `FolderInUseError`. A lock with the same `token` is of a broker that the caller knows to have ended. */
  static async take(folder: string, clock: Clock, token = newLockToken()): Promise<FolderLock> {
    const path = join(folder, '.lock');
    const owner = { pid: process.pid, started: await startOf(process.pid), host: hostname(), token };
    const own = `${path}.${owner.token}`;
    await writeFile(own, `${JSON.stringify(owner)}\n`);
    try {
      for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
        if (await linked(own, path)) return new FolderLock(path, owner, clock);
        const other = await ownerOf(path);
        if (other !== undefined && (await isAlive(other, { self: owner, path, clock }))) {
          throw new FolderInUseError(
            `${folder} is in use by process ${other.pid}${other.host === owner.host ? '' : ` on ${other.host}`}: ` +
              'stop it, or give another data folder',
          );
        }
        if (!(await buried(path, other))) await sleep(retryMs);
      }
    } finally {
      await rm(own, { force: true });
    }
    throw new FolderInUseError(`${folder} is being taken by other processes: try again`);
  }

  async release(): Promise<void> {
    this.#stopTouching();
    if (await this.#isOurs()) await rm(this.#path, { force: true });
  }

  async #touch(clock: Clock): Promise<void> {
    const now = new Date(clock.nowMs());
    if (await this.#isOurs()) await utimes(this.#path, now, now);
  }

  /** Not so when it seemed stale to another machine, as after a long sleep of this one. */
  async #isOurs(): Promise<boolean> {
    return (await ownerOf(this.#path))?.token === this.#owner.token;
  }
}

/** Names one broker after the other in the same place, of which one lives at a time. */
export const newLockToken = (): string => randomBytes(8).toString('hex');

/** false: there is such a name already, or nothing to link. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOENT') return false;
    throw error;
  }
}

/** undefined: there is no lock, or nobody can be read out of it. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    const { pid, started, host, token: id } = value as Owner;
    const isOwner = Number.isSafeInteger(pid) && [started, host, id].every((text) => typeof text === 'string');
    return isOwner ? { pid, started, host, token: id } : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive(
  owner: Owner,
  { self, path, clock }: { self: Owner; path: string; clock: Clock },
): Promise<boolean> {
  if (owner.token === self.token) return false;
  const isOfThisProcess = owner.pid === self.pid && owner.started === self.started;
  // Where the system does not say when a process began, an earlier one may have had the same id.
  if (owner.host !== self.host || (isOfThisProcess && self.started === '')) {
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
    return clock.nowMs() - mtimeMs < untouchedStaleMs;
  }
  if (isOfThisProcess) return true;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return owner.started === '' || owner.started === (await startOf(owner.pid));
}

/** When a process began, in ticks since the machine did: field 22 of Linux' /proc/PID/stat. Empty elsewhere. */
async function startOf(pid: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in parentheses that may hold anything.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** Whether the dead owner's lock is gone by this call; false: somebody else is at it, or was faster. */
async function buried(path: string, dead: Owner | undefined): Promise<boolean> {
  const grave = `${path}.${dead?.token ?? 'unreadable'}.dead`;
  if (!(await linked(path, grave))) {
    // Whoever was at it may have been killed meanwhile.
    const { ctimeMs } = await stat(grave).catch(() => ({ ctimeMs: Number.POSITIVE_INFINITY }));
    if (Date.now() - ctimeMs > burialMaxMs) await rm(grave, { force: true });
    return false;
  }
  const isSame = (await ownerOf(grave))?.token === dead?.token;
  if (isSame) await rm(path, { force: true });
  await rm(grave, { force: true });
  return isSame;
}
