import type { ConnectionState, Handler } from '../../../src/broker/server/handler.ts';
import { KafkaError } from '../../../src/protocol/errors.ts';
import type { Message } from '../../../src/protocol/schema.ts';
import { WireWriter } from '../../../src/protocol/wire.ts';

const connection: ConnectionState = {
  listener: { advertisedHost: '127.0.0.1', advertisedPort: 1, requiresLogin: false },
  exchange: undefined,
  isRawExchange: false,
  user: undefined,
};

/** Asks as a client does that speaks one version: through the bytes of request and response. */
export async function askHandler<T>(handler: Handler, version: number, body: object): Promise<T> {
  const sent = throughBytes(handler.request, body, version);
  const context = {
    ...{ version, clientId: 'test', clientHost: '::1', requestBytes: 100, connection },
    signal: new AbortController().signal,
  };
  let answer: unknown;
  try {
    answer = await handler.handle(context, sent);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    answer = handler.failure(error.code, error.message, sent);
  }
  return throughBytes(handler.response, answer as object, version) as T;
}

function throughBytes(message: Message, value: object, version: number): unknown {
  const writer = new WireWriter();
  message.encode(writer, value, version);
  return message.decode(Buffer.from(writer.finish()), version);
}
