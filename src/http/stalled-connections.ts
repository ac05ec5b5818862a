import type { Socket } from 'node:net';
import type { Clock } from '../kernel/clock.ts';

/** For so long a client may take nothing of what waits for it; the Avro socket gives it as long. */
const stalledTimeoutMs = 60_000;
const lookEveryMs = 5_000;

/** What node:net has no public names for. */
interface SocketWithHandle {
  /** What has left the stream's queue for the handle's. */
  readonly _bytesDispatched?: number;
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

interface Stalled {
  readonly takenBytes: number;
  readonly sinceMs: number;
}

/**
 * Ends connections whose client has stopped taking its answer. node:http lets them be for ever, and each keeps as much memory as
 * its answer has bytes. A timer of each socket would be set anew with every request of the hot path, so they are looked at from
 * time to time.
 */
export class StalledConnections {
  readonly #sockets: ReadonlySet<Socket>;
  readonly #clock: Clock;
  readonly #stalled = new WeakMap<Socket, Stalled>();
  #cancel: () => void = () => {};

  constructor(sockets: ReadonlySet<Socket>, clock: Clock) {
    this.#sockets = sockets;
    this.#clock = clock;
  }

  /** From now on, until `stop`. */
  run(): void {
    this.#cancel = this.#clock.after(lookEveryMs, () => {
      for (const socket of this.#sockets) this.#look(socket);
      this.run();
    });
  }

  stop(): void {
    this.#cancel();
  }

  #look(socket: Socket): void {
    if (socket.writableLength === 0) {
      this.#stalled.delete(socket);
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const takenBytes = takenBytesOf(socket);
    const before = this.#stalled.get(socket);
    if (before?.takenBytes !== takenBytes) this.#stalled.set(socket, { takenBytes, sinceMs: nowMs });
    else if (nowMs - before.sinceMs >= stalledTimeoutMs) socket.destroy();
  }
}

/** What the system has taken for the other side, a part of a write included. */
function takenBytesOf(socket: Socket): number {
  const { _bytesDispatched, _handle } = socket as unknown as SocketWithHandle;
  return (_bytesDispatched ?? 0) - (_handle?.writeQueueSize ?? 0);
}
