import type { Message, MessageInput, MessageValue, Versions } from '../../protocol/schema.ts';

/** Who asks, and how. */
export interface RequestContext {
  readonly version: number;
  readonly clientId: string;
  /** Address of the other end. */
  readonly clientHost: string;
  /** Of the whole request, without the length before it. */
  readonly requestBytes: number;
  readonly connection: ConnectionState;
  /** Aborted when the connection ends: nobody will read the answer. */
  readonly signal: AbortSignal;
}

/** What a connection knows of itself. */
export interface ConnectionState {
  /** Through which listener it came; its advertised address is what clients are told. */
  readonly listener: Listener;
  /** The SASL exchange that is under way; undefined before it and after. */
  exchange: SaslExchange | undefined;
  /** Whether its messages come as they are, without requests around them (handshake version 0). */
  isRawExchange: boolean;
  /** Who has logged in; undefined where nobody need. */
  user: string | undefined;
}

export interface Listener {
  /** What clients are told to dial. */
  readonly advertisedHost: string;
  readonly advertisedPort: number;
  readonly requiresLogin: boolean;
}

/** One side of a SASL mechanism: messages of the client go in, those of the server come out. */
export interface SaslExchange {
  readonly mechanism: string;
  /** Throws a `KafkaError` SASL_AUTHENTICATION_FAILED. `user` is there once the exchange is complete. */
  next(message: Buffer): { readonly reply: Buffer; readonly user: string | undefined };
}

/**
 * One API of the protocol: its messages, and what is done. A handler that fails throws a `KafkaError`, or anything else for a fault
 * of ours; the server turns it into an answer.
 */
export interface Handler {
  readonly request: Message;
  readonly response: Message;
  /** What ApiVersions says, where that is more than what is served. */
  readonly advertised: Versions;
  handle(context: RequestContext, body: unknown): Promise<unknown> | unknown;
  /** The answer that tells of an error; undefined: there is none, and the connection is closed. */
  failure(errorCode: number, errorMessage: string, body: unknown): unknown;
}

/** What an answer may have beside the fields of its message. */
export interface AnswerHints {
  /** How large it is about to be, beside records. */
  readonly roomBytes?: number;
  /** Called once when the answer has been sent, or never will be: its records are no longer needed. */
  readonly release?: () => void;
}

interface HandlerParts<Q extends Message, S extends Message> {
  readonly request: Q;
  readonly response: S;
  readonly advertised?: Versions;
  /** undefined: the client wants no answer. */
  handle(
    context: RequestContext,
    body: MessageValue<Q>,
  ): Promise<MessageInput<S> | undefined> | MessageInput<S> | undefined;
  /** By default an answer with nothing but `errorCode` (and `errorMessage`), where the message has that. */
  failure?(errorCode: number, errorMessage: string, body: MessageValue<Q>): MessageInput<S> | undefined;
}

export function handler<Q extends Message, S extends Message>(parts: HandlerParts<Q, S>): Handler {
  const { request, response } = parts;
  return {
    request,
    response,
    advertised: parts.advertised ?? request.versions,
    handle: (context, body) => parts.handle(context, body as MessageValue<Q>),
    failure: (errorCode, errorMessage, body) => {
      if (parts.failure !== undefined) return parts.failure(errorCode, errorMessage, body as MessageValue<Q>);
      return response.fields.errorCode === undefined ? undefined : { errorCode, errorMessage };
    },
  };
}
