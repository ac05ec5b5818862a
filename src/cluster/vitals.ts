import type { Clock } from '../kernel/clock.ts';
import { type PeerHttp, PeerRequestError } from './peer-http.ts';

/** How far a node has applied one partition. */
export interface PartitionVitals {
  readonly partition: number;
  /** The next offset to apply. */
  readonly position: number;
  /** Where the partition ended when that node last asked. */
  readonly end: number;
  readonly lag: number;
}

/** What a node says of itself at `/health/ready`. */
export interface Vitals {
  readonly node: string;
  readonly instance: string;
  readonly state: string;
  readonly ready: boolean;
  readonly lagMs: number;
  readonly partitions: readonly PartitionVitals[];
}

const partitionsMax = 4_096;
const bodyBytesMax = 1024 * 1024;

/** Asks a node how it is. Rejects with a `PeerRequestError`, also when what answers there is no node. */
export async function askVitals(http: PeerHttp, timeoutMs: number): Promise<Vitals> {
  const { body, status } = await http.get({
    path: '/health/ready',
    accept: 'application/json',
    timeoutMs,
    bodyBytesMax,
  });
  const vitals = status === 200 || status === 503 ? parseVitals(body.toString('utf8')) : undefined;
  if (vitals === undefined) throw new PeerRequestError('failed', `what answers there (${status}) is no node`);
  return vitals;
}

/** undefined for anything that a node does not say: whoever answers may be somebody else. */
export function parseVitals(text: string): Vitals | undefined {
  try {
    const { node, instance, state, status, lagMs, partitions } = (JSON.parse(text) ?? {}) as Record<string, unknown>;
    if (typeof node !== 'string' || typeof instance !== 'string' || typeof state !== 'string') return undefined;
    if (!/^[a-z-]{1,32}$/.test(state) || !isCount(lagMs)) return undefined;
    if (!Array.isArray(partitions) || partitions.length > partitionsMax) return undefined;
    const sound = partitions.map(parsePartition);
    if (sound.includes(undefined)) return undefined;
    return { node, instance, state, ready: status === 'ready', lagMs, partitions: sound as PartitionVitals[] };
  } catch {
    return undefined;
  }
}

function parsePartition(value: unknown): PartitionVitals | undefined {
  const { partition, position, end, lag } = (value ?? {}) as Record<string, unknown>;
  const isSound = isCount(partition) && isCount(position) && isCount(end) && isCount(lag);
  return isSound ? { partition, position, end, lag } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Asks one node again and again until stopped, and keeps what it said last. */
export class VitalsWatch {
  /** What the node said last; undefined before the first time. */
  latest: Vitals | undefined;
  /** When that was, in milliseconds since the epoch. */
  seenAtMs: number | undefined;
  /** Why it did not answer the last question; undefined when it did. */
  trouble: string | undefined;
  readonly #http: PeerHttp;
  readonly #everyMs: number;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(http: PeerHttp, { everyMs, timeoutMs, clock }: { everyMs: number; timeoutMs: number; clock: Clock }) {
    this.#http = http;
    this.#everyMs = everyMs;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    void this.#ask();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#http.close();
  }

  async #ask(): Promise<void> {
    try {
      this.latest = await askVitals(this.#http, this.#timeoutMs);
      this.seenAtMs = this.#clock.nowMs();
      this.trouble = undefined;
    } catch (error) {
      this.trouble = (error as Error).message;
    }
    if (!this.#stopped) this.#cancel = this.#clock.after(this.#everyMs, () => void this.#ask());
  }
}
