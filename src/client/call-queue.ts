import { Call, type Question } from './call.ts';
import { CallClock } from './call-clock.ts';
import { CallLine } from './call-line.ts';
import { ChosenNode } from './chosen-node.ts';
import { type ConnectionLostError, DatabaseError } from './errors.ts';
import type { ConnectionEvents, NodeConnection } from './node-connection.ts';
import { WriteOrder } from './write-order.ts';

/** Calls that wait to be sent, and their keys and values. */
const waitingCallsMax = 100_000;
const waitingBytesMax = 256 * 1024 * 1024;
/** The greatest value that any node can be told to take, with a key and what is around them. */
const callBytesMax = (64 * 1024 + 128) * 1024;
const attemptTimeoutMsMax = 3_000;
const lookEveryMsMax = 1_000;

export interface CallQueueOptions {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** From when a call is made to its answer or error. */
  readonly timeoutMs: number;
}

/**
 * Brings calls to a node in the order in which they were made, and each to one outcome. A read may be asked again elsewhere
 * until its time is up. A write may only where a node has said that nothing was done, and only while no later write of the same
 * key has been made; one that was sent and not answered is never sent again, and its outcome is said to be unknown.
 */
export class CallQueue {
  readonly #options: CallQueueOptions;
  readonly #node: ChosenNode;
  readonly #order = new WriteOrder();
  /** Runs for every call under way. */
  readonly #clock: CallClock;
  /** Those under way that have not been sent, in their order. */
  readonly #waiting = new CallLine();
  #waitingBytes = 0;
  #pumpIsDue = false;
  #closed: Promise<void> | undefined;
  #tellIdle: () => void = () => {};

  constructor(options: CallQueueOptions) {
    this.#options = options;
    const { nodes, timeoutMs } = options;
    this.#clock = new CallClock(timeoutMs, (call) => this.#timeUp(call));
    this.#node = new ChosenNode({
      nodes,
      // All of them are to have their turn within a call's time.
      attemptTimeoutMs: Math.min(attemptTimeoutMsMax, Math.ceil(timeoutMs / (nodes.length + 1))),
      lookEveryMs: Math.min(lookEveryMsMax, Math.ceil(timeoutMs / 10)),
      events: this.#events(),
      onAttempted: () => this.#pump(),
    });
  }

  /** Rejects with a `DatabaseError`. */
  ask(question: Question): Promise<unknown> {
    const refusal = this.#refusalOf(question);
    if (refusal !== undefined) return Promise.reject(refusal);
    const call = new Call(question, question.writes === undefined ? undefined : this.#order.begin(question.writes));
    this.#clock.start(call);
    this.#wait(call);
    return call.answer;
  }

  /** Takes no more calls, and resolves when those under way have their outcomes and nothing is left open. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    if (this.#clock.size > 0) {
      await new Promise<void>((resolve) => {
        this.#tellIdle = resolve;
      });
    }
    await this.#node.close();
  }

  #refusalOf({ bytes }: Question): DatabaseError | undefined {
    if (this.#closed !== undefined) return new DatabaseError('closed', 'The client was closed.');
    if (bytes > callBytesMax) {
      const detail = `The keys and values have ${bytes} bytes, and no node takes more than ${callBytesMax} in one call.`;
      return new DatabaseError('value_too_large', detail, 413);
    }
    if (this.#waiting.size < waitingCallsMax && this.#waitingBytes + bytes <= waitingBytesMax) return undefined;
    const detail = 'Too many calls of this client are waiting to be sent: await some of them first.';
    return new DatabaseError('overloaded', detail, 503);
  }

  #wait(call: Call): void {
    call.waitingPlace = this.#waiting.add(call);
    this.#waitingBytes += call.question.bytes;
    if (call.ticket !== undefined) this.#order.rejoin(call.ticket);
    this.#pumpSoon();
  }

  /** Calls of one turn leave together. */
  #pumpSoon(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#pumpIsDue = false;
    if (this.#waiting.size === 0) return;
    const node = this.#node.use();
    if (node === undefined) return;
    this.#waitingBytes -= node.sendFrom(this.#waiting, this.#isHeldUp);
  }

  #events(): ConnectionEvents {
    return {
      answered: (node, call, value) => {
        if (call.question.message !== '') this.#node.proved(node);
        this.#settle(call);
        call.resolve(value);
      },
      failed: (node, call, error) => this.#failed(node, call, error),
      lost: (node, calls, error) => {
        this.#node.lost(node, error.message);
        for (const call of calls) this.#lost(call, error);
        this.#pump();
      },
      silent: (node) => {
        this.#leave(node, 'it does not answer');
        for (const call of node.pending) {
          if (!call.isRead) continue;
          node.forget(call);
          this.#wait(call);
        }
      },
      room: (node) => {
        if (node === this.#node.current) this.#pump();
      },
    };
  }

  #failed(node: NodeConnection, call: Call, error: unknown): void {
    if (error instanceof DatabaseError && error.status === 503 && this.#maySendAgain(node, call, error)) {
      this.#leave(node, error.message);
      this.#wait(call);
      return;
    }
    this.#settle(call);
    call.reject(error);
  }

  /** Whether to try a call elsewhere that the node could not do. */
  #maySendAgain(node: NodeConnection, call: Call, { code }: DatabaseError): boolean {
    if (call.ticket !== undefined && !this.#order.isLatest(call.ticket)) return false;
    // It will be gone, and others, or itself, be there instead.
    if (code === 'shutting_down') return true;
    call.refusals += 1;
    if (call.refusals >= this.#options.nodes.length) return false;
    return node !== this.#node.current || this.#node.mayTurn;
  }

  #lost(call: Call, error: ConnectionLostError): void {
    if (call.isRead) {
      this.#wait(call);
      return;
    }
    this.#settle(call);
    call.reject(outcomeUnknown(error.message, error));
  }

  #timeUp(call: Call): void {
    const { timeoutMs } = this.#options;
    this.#settle(call);
    const late = `within ${timeoutMs} ms`;
    if (call.waitingPlace !== undefined) {
      this.#waiting.delete(call.waitingPlace);
      call.waitingPlace = undefined;
      this.#waitingBytes -= call.question.bytes;
      const detail =
        this.#node.current === undefined
          ? `No node could be reached ${late}: ${this.#node.troubles}.`
          : `It could not be sent ${late}: other calls before it were not taken.`;
      call.reject(new DatabaseError('unavailable', detail));
      return;
    }
    const detail = `The node did not answer ${late}`;
    const node = call.sent?.node;
    // It may be that others fare better.
    if (node !== undefined) {
      node.forget(call);
      this.#leave(node, detail);
    }
    call.reject(call.isRead ? new DatabaseError('timeout', `${detail}.`) : outcomeUnknown(detail));
  }

  readonly #isHeldUp = ({ ticket }: Call): boolean => ticket !== undefined && this.#order.isHeldUp(ticket);

  /** Calls that are made from now on go to another node; those under way there run on. */
  #leave(node: NodeConnection, why: string): void {
    if (node !== this.#node.current) return;
    for (const { ticket } of node.pending) if (ticket !== undefined) this.#order.leave(ticket);
    this.#node.leave(node, why);
  }

  /** It has its outcome. */
  #settle(call: Call): void {
    this.#clock.stop(call);
    if (call.ticket !== undefined && this.#order.end(call.ticket)) this.#pumpSoon();
    if (this.#clock.size === 0) this.#tellIdle();
  }
}

function outcomeUnknown(why: string, cause?: unknown): DatabaseError {
  const detail = `The write may or may not take effect: it was sent, and not answered (${why}).`;
  return new DatabaseError('write_outcome_unknown', detail, 504, { cause });
}
