import { Backoff, pause, systemClock } from '../kernel/clock.ts';
import { type ConnectionEvents, NodeConnection } from './node-connection.ts';

const retryFirstMs = 50;
const retryCapMs = 1_000;
/** A node closes connections that have had nothing to do for ten minutes; a call should not meet with that. */
const idleMsMax = 540_000;
const turnsWithinMs = 1_000;

export interface ChosenNodeOptions {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Of one attempt at one node, so that a silent one does not use up the time of a call. */
  readonly attemptTimeoutMs: number;
  readonly lookEveryMs: number;
  readonly events: ConnectionEvents;
  /** An attempt at a node is over, whether or not there is a connection now. */
  readonly onAttempted: () => void;
}

/** Which of the nodes is used: one at a time, and the next one in turn when that one ends or is left. */
export class ChosenNode {
  readonly #options: ChosenNodeOptions;
  readonly #backoff = new Backoff(retryFirstMs, retryCapMs);
  readonly #closing = new AbortController();
  /** All whose sockets are there. */
  readonly #connections = new Set<NodeConnection>();
  readonly #troubles = new Map<number, string>();
  #nextIndex = 0;
  #current: { readonly node: NodeConnection; readonly index: number; readonly sinceMs: number } | undefined;
  #hasProved = false;
  /** In a row, without one call answered in between. */
  #setbacks = 0;
  #retryAtMs = 0;
  /** Nodes that were left in a row within a short time. */
  #turns = 0;
  #turningSinceMs = 0;
  #seeking: Promise<void> | undefined;

  constructor(options: ChosenNodeOptions) {
    this.#options = options;
  }

  /** The present connection, if there is one. */
  get current(): NodeConnection | undefined {
    return this.#current?.node;
  }

  /**
   * Whether there is another node to turn to. Where all of them refuse now and then, connections would be opened at the pace at
   * which calls fail: within a second each has its turn once.
   */
  get mayTurn(): boolean {
    return (
      this.#turns < this.#options.nodes.length - 1 || systemClock.monotonicMs() - this.#turningSinceMs > turnsWithinMs
    );
  }

  /** What has last been wrong with each node, for a person. */
  get troubles(): string {
    const names = this.#options.nodes.map(({ host, port }, index) => {
      const trouble = this.#troubles.get(index);
      return trouble === undefined ? `${host}:${port}` : `${host}:${port} (${trouble})`;
    });
    return names.join(', ');
  }

  /** The connection to send calls on; when there is none, sees to it that there will be. */
  use(): NodeConnection | undefined {
    const node = this.current;
    if (node !== undefined && node.idleMs > idleMsMax) this.#drop(node);
    else if (node !== undefined) return node;
    if (!this.#closing.signal.aborted) this.#seek();
    return undefined;
  }

  /** It has answered a call. */
  proved(node: NodeConnection): void {
    if (this.#hasProved || node !== this.#current?.node) return;
    this.#hasProved = true;
    this.#setbacks = 0;
    this.#backoff.reset();
  }

  /** Calls on it run on; the next ones go to the next node. */
  leave(node: NodeConnection, why: string): void {
    if (node !== this.#current?.node) return;
    this.#noteTrouble(why);
    const nowMs = systemClock.monotonicMs();
    if (nowMs - this.#turningSinceMs > turnsWithinMs) {
      this.#turns = 0;
      this.#turningSinceMs = nowMs;
    }
    this.#turns += 1;
    this.#drop(node);
  }

  /** It has ended by itself. */
  lost(node: NodeConnection, why: string): void {
    if (node !== this.#current?.node) return;
    this.#noteTrouble(why);
    this.#current = undefined;
  }

  /** Resolves when nothing is left. No call is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#seeking;
    for (const node of this.#connections) node.destroy();
    this.#current = undefined;
    await Promise.all([...this.#connections].map(({ closed }) => closed));
  }

  /** Makes one attempt, after a pause when all nodes have failed. */
  #seek(): void {
    this.#seeking ??= this.#attempt().finally(() => {
      this.#seeking = undefined;
      this.#options.onAttempted();
    });
  }

  #drop(node: NodeConnection): void {
    this.#current = undefined;
    node.retire();
  }

  /** With the present connection. One that never answered a call is as good as one that could not be had. */
  #noteTrouble(why: string): void {
    const { index } = this.#current!;
    this.#troubles.set(index, why);
    if (!this.#hasProved) this.#setBack();
  }

  #setBack(): void {
    this.#setbacks += 1;
    if (this.#setbacks < this.#options.nodes.length) return;
    this.#setbacks = 0;
    this.#retryAtMs = systemClock.monotonicMs() + this.#backoff.nextMs();
  }

  async #attempt(): Promise<void> {
    const { nodes, attemptTimeoutMs, lookEveryMs, events } = this.#options;
    const { signal } = this.#closing;
    const waitMs = this.#retryAtMs - systemClock.monotonicMs();
    if (waitMs > 0) await pause(systemClock, waitMs, signal);
    if (signal.aborted) return;
    const index = this.#nextIndex;
    this.#nextIndex = (index + 1) % nodes.length;
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    const cancel = systemClock.after(attemptTimeoutMs, abort);
    signal.addEventListener('abort', abort);
    try {
      const node = await NodeConnection.open({ ...nodes[index]!, lookEveryMs }, giveUp.signal, events);
      this.#connections.add(node);
      void node.closed.then(() => this.#connections.delete(node));
      this.#current = { node, index, sinceMs: systemClock.monotonicMs() };
      this.#hasProved = false;
      if (!node.isOpen) this.lost(node, 'the connection ended');
    } catch (error) {
      this.#troubles.set(index, (error as Error).message);
      this.#setBack();
    } finally {
      cancel();
      signal.removeEventListener('abort', abort);
    }
  }
}
