import type { Type } from 'avsc';
import { BitacoraError } from '../kernel/errors.ts';
import { MalformedError, SchemaRefusedError, type Walk } from './wire/bounds.ts';
import { CheckedType } from './wire/checked-type.ts';
import type { Encoder } from './wire/outbox.ts';
import type { MessageTypes, Protocol } from './wire/protocol.ts';

/** What a message does: its parameters in, its response out. Throws or rejects with what it could not do. */
// biome-ignore lint/suspicious/noExplicitAny: parameters are checked against the message's schema before.
export type Handler = (parameters: any) => unknown;

/** What a handler returns whose work begins bit by bit: the connection begins no other call meanwhile, which would overtake it. */
export class Begun {
  readonly begun: Promise<void>;
  readonly answer: Promise<unknown>;

  constructor(begun: Promise<void>, answer: Promise<unknown>) {
    this.begun = begun;
    this.answer = answer;
  }
}

export interface ServedProtocol {
  readonly protocol: Protocol;
  readonly handlers: Readonly<Record<string, Handler>>;
  /** For responses of messages whose handlers answer with something that avsc could not write. */
  readonly encoders?: Readonly<Record<string, Encoder<never>>>;
  /** An error as the value of a message's error type. */
  failureOf(error: BitacoraError): unknown;
}

/** One message as one client speaks it. */
export interface Call {
  readonly name: string;
  readonly responseType: Encoder;
  readonly errorType: Type;
  readonly run: Handler;
  /** An error as the value of `errorType`. */
  readonly failureOf: ServedProtocol['failureOf'];
  /** Throws a `BitacoraError`: the request cannot be read. */
  parametersAt(walk: Walk): unknown;
}

/** The messages of one protocol of ours, for clients of one protocol of theirs. */
export class Calls {
  readonly served: ServedProtocol;
  readonly #client: Protocol;
  /** By message of ours; an error for one that the client's does not fit, which costs as much to find out as a fit. */
  readonly #calls = new Map<string, Call | BitacoraError>();

  constructor(served: ServedProtocol, client: Protocol) {
    this.served = served;
    this.#client = client;
  }

  /** Throws a `BitacoraError` when there is no such message, or none that the client's could be resolved to. */
  named(name: string): Call {
    const known = this.#calls.get(name);
    if (known instanceof BitacoraError) throw known;
    if (known !== undefined) return known;
    const { protocol, handlers, encoders = {}, failureOf } = this.served;
    const [ours, theirs] = [protocol.messages.get(name), this.#client.messages.get(name)];
    if (ours === undefined || theirs === undefined) {
      const whose = ours === undefined ? `The node's ${protocol.name}` : "The client's own protocol";
      throw new BitacoraError('message_unknown', `${whose} has no message ${JSON.stringify(name.slice(0, 100))}.`);
    }
    const requests = requestsOf(ours, theirs);
    if (requests instanceof BitacoraError) {
      this.#calls.set(name, requests);
      throw requests;
    }
    const { errorType } = ours;
    const responseType = (encoders[name] as Encoder | undefined) ?? ours.responseType;
    const parametersAt = (walk: Walk): unknown => {
      try {
        const parameters = requests.read(walk);
        if (walk.at !== walk.bytes.length) throw new MalformedError('bytes follow the parameters');
        return parameters;
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
        throw new BitacoraError('request_malformed', `${name}: ${error.message}.`);
      }
    };
    const call = { name, responseType, errorType, run: handlers[name]!, failureOf, parametersAt };
    this.#calls.set(name, call);
    return call;
  }
}

/** An error when the client's message does not fit. */
function requestsOf(ours: MessageTypes, theirs: MessageTypes): CheckedType<unknown> | BitacoraError {
  try {
    if (ours.oneWay !== theirs.oneWay) throw new SchemaRefusedError('it is one-way on one side');
    return new CheckedType(ours.requestType, theirs.requestType);
  } catch (error) {
    const { message } = error as Error;
    const detail = `The client's message ${ours.name} does not fit the node's: ${message.slice(0, 200)}.`;
    return new BitacoraError('message_unknown', detail);
  }
}
