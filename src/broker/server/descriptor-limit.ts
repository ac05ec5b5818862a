import { readFileSync } from 'node:fs';

/** Of every four descriptors one is for files, however many there are. */
const filesShare = 4;
/** Node.js has about twenty open before anything else, and a broker without clients about as many. */
const filesLeast = 64;

/**
 * How many connections the process may have so that files can still be opened: a log that cannot is worse than a client that is
 * turned away. `limit` is what the system lets the process open; undefined: it does not say.
 */
export function connectionsWithin(limit: number | undefined, connectionsMax: number): number {
  if (limit === undefined) return connectionsMax;
  const forFiles = Math.max(Math.ceil(limit / filesShare), filesLeast);
  return Math.max(1, Math.min(connectionsMax, limit - forFiles));
}

/** How many files and sockets the system lets this process have open. Only Linux says so without a program of its own. */
export function descriptorLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+) /m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
