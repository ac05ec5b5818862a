import type { Place } from './call-line.ts';
import type { NodeConnection } from './node-connection.ts';
import type { Ticket } from './write-order.ts';

/** What a caller wants of a node. */
export interface Question {
  /** A message of `schemas/database.avdl`; empty for Avro's ping, which every node answers with null. */
  readonly message: 'get' | 'put' | 'remove' | 'multiGet' | 'multiPut' | 'scan' | '';
  /** Made anew each time that it is sent: the positions of a session move on. */
  readonly parameters: () => unknown;
  /** Size of its keys and values. */
  readonly bytes: number;
  /** The keys that it writes; none for a read, which may be asked as often as one likes. */
  readonly writes?: readonly Buffer[];
}

/** A question on its way, until its answer is settled. */
export class Call {
  readonly question: Question;
  /** undefined: it is a read. */
  readonly ticket: Ticket | undefined;
  readonly answer: Promise<unknown>;
  /** How often a node has said that it could do nothing. */
  refusals = 0;
  /** On which connection it was last sent, and under which number that knows it. */
  sent: { readonly node: NodeConnection; readonly serial: number } | undefined;
  resolve!: (value: unknown) => void;
  reject!: (error: unknown) => void;
  /** While it waits to be sent. */
  waitingPlace: Place | undefined;
  /** When its time is up, and its place among those for which the clock runs. */
  deadlineMs = 0;
  clockPlace: Place | undefined;

  constructor(question: Question, ticket: Ticket | undefined) {
    this.question = question;
    this.ticket = ticket;
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  get isRead(): boolean {
    return this.ticket === undefined;
  }
}
