import { setTimeout as sleep } from 'node:timers/promises';
import { apiVersionsRequest, apiVersionsResponse } from '../../../src/protocol/messages/api-versions.ts';
import { produceRequest } from '../../../src/protocol/messages/produce.ts';
import { includesVersion } from '../../../src/protocol/schema.ts';
import { WireError } from '../../../src/protocol/wire.ts';
import { Random } from '../protocol/mutations.ts';
import { isRequest, servedMessages } from '../protocol/served.ts';
import type { FuzzSource } from './fuzz-frames.ts';
import { mainThreadCpuMs, residentMib } from './process-use.ts';
import { readResponse, requestFrame, WireClient } from './wire-client.ts';

export interface FuzzOptions {
  readonly port: number;
  /** Of the broker's process. */
  readonly pid: number;
  readonly sources: readonly FuzzSource[];
  readonly count: number;
  /** Each frame has a seed of its own, counted up from this one. */
  readonly firstSeed: number;
}

export interface FuzzResult {
  readonly answered: number;
  /** Connections that were ended by the broker because of what came. */
  readonly refused: number;
  /** Requests that waited, such as for others to join: the connection was left. */
  readonly left: number;
  /** What came back and cannot be, with the frame that it answers. */
  readonly wrong: readonly string[];
  readonly pings: number;
  /** The longest that another connection waited for an answer, in processor time of the broker's event loop. */
  readonly slowest: { readonly cpuMs: number; readonly wallMs: number; readonly seeds: readonly number[] };
  readonly residentMibMax: number;
}

const connections = 12;
const framesAtOnceMax = 3;
const patienceMs = 100;
const pingPauseMs = 2;
const pingPatienceMs = 20_000;
const wrongMax = 20;
const probeVersion = 3;
const probeId = -0x0123_4567;

const requests = new Map(servedMessages.filter(isRequest).map((message) => [message.apiKey, message]));
const responses = new Map(
  servedMessages.filter((message) => !isRequest(message)).map((message) => [message.apiKey, message]),
);
const probe = requestFrame(apiVersionsRequest, {}, { version: probeVersion, correlationId: probeId });

/**
 * Sends mutated frames over several connections, a few at a time and a sound request behind them, and looks at every answer. Beside
 * them a connection that sends sound requests only sees how long the others hold it up.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const run = new FuzzRun(options);
  return run.whole();
}

class FuzzRun {
  readonly #options: FuzzOptions;
  readonly #inFlight = new Set<number>();
  readonly #wrong: string[] = [];
  #nextSeed: number;
  #answered = 0;
  #refused = 0;
  #left = 0;
  #pings = 0;
  #slowest: FuzzResult['slowest'] = { cpuMs: 0, wallMs: 0, seeds: [] };
  #residentMibMax = 0;
  #isOver = false;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#nextSeed = options.firstSeed;
  }

  async whole(): Promise<FuzzResult> {
    const pinging = this.#ping();
    const sending = Promise.all(Array.from({ length: connections }, () => this.#send()));
    try {
      // A broker that does not answer the sound requests fails the run before all frames are sent.
      await Promise.race([sending, pinging]);
    } finally {
      this.#isOver = true;
    }
    await sending;
    await pinging;
    return {
      answered: this.#answered,
      refused: this.#refused,
      left: this.#left,
      wrong: this.#wrong,
      pings: this.#pings,
      slowest: this.#slowest,
      residentMibMax: this.#residentMibMax,
    };
  }

  async #ping(): Promise<void> {
    const { port, pid } = this.#options;
    const client = await WireClient.dial(port);
    const api = [apiVersionsRequest, apiVersionsResponse] as const;
    try {
      while (!this.#isOver) {
        const [startMs, cpuBeforeMs] = [performance.now(), mainThreadCpuMs(pid)];
        await client.ask(api, {}, { version: probeVersion, patienceMs: pingPatienceMs });
        const [wallMs, cpuMs] = [performance.now() - startMs, mainThreadCpuMs(pid) - cpuBeforeMs];
        if (cpuMs > this.#slowest.cpuMs) this.#slowest = { cpuMs, wallMs, seeds: [...this.#inFlight] };
        this.#pings += 1;
        if (this.#pings % 100 === 1) this.#residentMibMax = Math.max(this.#residentMibMax, residentMib(pid));
        await sleep(pingPauseMs);
      }
    } finally {
      client.end();
    }
  }

  /** One connection after the other, until there is nothing left to send. */
  async #send(): Promise<void> {
    const { port, firstSeed, count } = this.#options;
    let client: WireClient | undefined;
    while (!this.#isOver && this.#nextSeed < firstSeed + count && this.#wrong.length < wrongMax) {
      if (client === undefined || client.isClosed) client = await WireClient.dial(port);
      const frames = new Map<number, Buffer>();
      const random = new Random(this.#nextSeed);
      for (let left = 1 + random.below(framesAtOnceMax); left > 0; left -= 1) {
        const seed = this.#nextSeed;
        this.#nextSeed += 1;
        frames.set(seed, this.#frameOf(seed));
      }
      for (const seed of frames.keys()) this.#inFlight.add(seed);
      const isInStep = await this.#exchange(client, frames);
      for (const seed of frames.keys()) this.#inFlight.delete(seed);
      if (!isInStep) client.end();
    }
    client?.end();
  }

  #frameOf(seed: number): Buffer {
    const random = new Random(seed);
    const frame = Buffer.from(random.pick(this.#options.sources)(random));
    // By it the answer is known.
    if (frame.length >= 8) frame.writeInt32BE(seed, 4);
    return frame;
  }

  /** Answers whether the connection can go on. */
  async #exchange(client: WireClient, frames: ReadonlyMap<number, Buffer>): Promise<boolean> {
    for (const frame of frames.values()) client.send(frame);
    client.send(probe);
    const unanswered = new Map(frames);
    for (;;) {
      const answer = await client.next(patienceMs);
      if (answer === undefined) {
        if (client.isClosed) this.#refused += 1;
        else this.#left += 1;
        return false;
      }
      const id = answer.length < 4 ? 0 : answer.readInt32BE(0);
      if (id === probeId) break;
      const frame = unanswered.get(id);
      if (frame === undefined) {
        this.#complain(`an answer to nothing: ${answer.toString('hex')}`);
        return false;
      }
      // Answers come in order: what came before this one's request has none.
      for (const [seed, skipped] of unanswered) {
        if (seed === id) break;
        unanswered.delete(seed);
        this.#checkSilence(seed, skipped);
      }
      unanswered.delete(id);
      this.#check(id, frame, answer);
    }
    for (const [seed, skipped] of unanswered) this.#checkSilence(seed, skipped);
    return true;
  }

  #check(seed: number, frame: Buffer, answer: Buffer): void {
    this.#answered += 1;
    const apiKey = frame.readInt16BE(0);
    const asked = frame.readInt16BE(2);
    const response = responses.get(apiKey)!;
    // ApiVersions in a version that is not known is answered in version 0 (KIP-511).
    const version = includesVersion(response.versions, asked) ? asked : 0;
    try {
      readResponse(response, answer, version);
    } catch (error) {
      this.#complain(`seed ${seed}: ${response.name} ${version} cannot be read: ${error}: ${answer.toString('hex')}`);
    }
  }

  /** Only a Produce with acks=0 has no answer. */
  #checkSilence(seed: number, frame: Buffer): void {
    const [apiKey, version] = [frame.readInt16BE(0), frame.readInt16BE(2)];
    const request = requests.get(apiKey)!;
    if (request === produceRequest && acksOf(frame, version) === 0) return;
    this.#complain(`seed ${seed}: ${request.name} ${version} has no answer: ${frame.toString('hex')}`);
  }

  #complain(what: string): void {
    if (this.#wrong.length < wrongMax) this.#wrong.push(what.slice(0, 2_000));
  }
}

function acksOf(frame: Buffer, version: number): number | undefined {
  const clientIdBytes = Math.max(frame.readInt16BE(8), 0);
  const headerEnd = 10 + clientIdBytes;
  // Tags of a header are rare enough for other lengths of theirs to be left out.
  const bodyStart = includesVersion(produceRequest.flexible, version) ? headerEnd + 1 : headerEnd;
  try {
    return produceRequest.decode(frame.subarray(bodyStart), version).acks;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
