import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Handler, ServedProtocol } from '../../../src/avro/calls.ts';
import { Connection, type ConnectionLimits, type HeldMemory } from '../../../src/avro/connection.ts';
import { Handshakes } from '../../../src/avro/handshakes.ts';
import { CallMetrics } from '../../../src/avro/metrics.ts';
import { Slab } from '../../../src/avro/wire/outbox.ts';
import { ownProtocol } from '../../../src/avro/wire/protocol.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { FakeClock, settled } from '../fake-clock.ts';
import { keepingLogger } from '../replica-rig.ts';
import { framed } from './avro-bytes.ts';

/** The server's end of a connection without a network, of which a test is the other end. */
export class ScriptedSocket extends Duplex {
  /** Whether the client takes what is sent. */
  isRead = true;
  #received: Buffer[] = [];
  #untaken: { chunk: Buffer; done: () => void } | undefined;
  #room: () => void = () => {};
  /** The server has closed its side, and everything before has been taken. */
  hasEnded = false;

  constructor() {
    super({ allowHalfOpen: true, readableHighWaterMark: 1, writableHighWaterMark: 100 });
  }

  override _read(): void {
    this.#room();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#untaken = { chunk, done };
    if (this.isRead) this.takeOne();
  }

  override _final(done: () => void): void {
    this.hasEnded = true;
    done();
  }

  /** The client takes one write of what is sent. */
  takeOne(): void {
    const untaken = this.#untaken;
    this.#untaken = undefined;
    if (untaken === undefined) return;
    this.#received.push(Buffer.from(untaken.chunk));
    untaken.done();
  }

  /** The client takes everything, from now on. */
  readOn(): void {
    this.isRead = true;
    this.takeOne();
  }

  /** Everything that the client has taken. */
  get received(): Buffer {
    this.#received = [Buffer.concat(this.#received)];
    return this.#received[0]!;
  }

  /** Sends bytes as one chunk; resolves when the server has been given them, and never while it does not read. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.destroyed) return;
    // A copy, as a socket's chunks are memory of their own.
    if (this.push(Buffer.from(bytes))) return;
    await new Promise<void>((resolve) => {
      this.#room = resolve;
      this.once('close', resolve);
    });
  }

  /** The client closes its side. */
  finish(): void {
    this.push(null);
  }
}

const smallLimits: ConnectionLimits = {
  messageBytesMax: 10_000,
  callsMax: 4,
  callBytesMax: 20_000,
  answerBytesMax: 2_000,
  handshakeTimeoutMs: 10_000,
  messageTimeoutMs: 20_000,
  idleTimeoutMs: 100_000,
};

export interface ConnectionRigOptions {
  readonly limits?: Partial<ConnectionLimits>;
  readonly heldBytesMax?: number;
  readonly heldCallBytesMax?: number;
  /** Of the original protocol: what a test does not give is never called by it. */
  readonly handlers?: Readonly<Record<string, Handler>>;
  readonly served?: readonly [ServedProtocol, ...ServedProtocol[]];
}

/** Connections without a network, of limits that are small; they share what those of one server do. */
export class ConnectionRig {
  readonly clock = new FakeClock();
  readonly lines: string[] = [];
  readonly limits: ConnectionLimits;
  readonly held: HeldMemory;
  readonly handshakes: Handshakes;
  readonly #slab = new Slab();
  readonly #metrics = new Metrics({ process: false });
  readonly #callMetrics: CallMetrics;
  readonly #open = new Set<Connection>();

  constructor({ limits = {}, heldBytesMax, heldCallBytesMax, handlers = {}, served }: ConnectionRigOptions = {}) {
    this.limits = { ...smallLimits, ...limits };
    this.held = {
      bytes: 0,
      bytesMax: heldBytesMax ?? 1_000_000,
      callBytes: 0,
      callBytesMax: heldCallBytesMax ?? 1_000_000,
      connections: this.#open,
    };
    const protocol = ownProtocol('rpc.avpr');
    this.handshakes = new Handshakes(served ?? [{ protocol, handlers, failureOf: ({ message }) => message }]);
    this.#callMetrics = new CallMetrics(this.#metrics, () => this.#open.size);
  }

  open(handshakes = this.handshakes): { socket: ScriptedSocket; connection: Connection } {
    const socket = new ScriptedSocket();
    const connection = new Connection({
      socket: socket as unknown as Socket,
      handshakes,
      limits: this.limits,
      held: this.held,
      slab: this.#slab,
      clock: this.clock,
      logger: keepingLogger(this.lines),
      metrics: this.#callMetrics,
    });
    this.#open.add(connection);
    socket.once('close', () => this.#open.delete(connection));
    return { socket, connection };
  }

  get connections(): number {
    return this.#open.size;
  }

  /** Time passes, with the server's look at its connections once a second. */
  async pass(durationMs: number): Promise<void> {
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 1_000) {
      await this.clock.pass(Math.min(1_000, leftMs));
      for (const connection of this.#open) connection.check(this.clock.monotonicMs());
      await settled();
    }
  }

  /** Why connections have ended, and how many. */
  async closings(): Promise<Record<string, number>> {
    const found = (await this.#metrics.text()).matchAll(
      /^bitacora_avro_connections_closed_total\{reason="(\w+)"\} (\d+)$/gm,
    );
    return Object.fromEntries([...found].map(([, reason, count]) => [reason, Number(count)]));
  }
}

/** Frames one behind the other, in bytes that end with the last. */
export function framesIn(bytes: Buffer): { serial: number; body: Buffer }[] {
  const frames: { serial: number; body: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [serial, length] = [bytes.readInt32BE(at), bytes.readInt32BE(at + 8)];
    const body = bytes.subarray(at + 12, at + 12 + length);
    if (!bytes.subarray(at, at + 12 + length).equals(framed(serial, body)))
      throw new Error('not a frame of one buffer');
    frames.push({ serial, body });
    at += 12 + length;
  }
  return frames;
}
