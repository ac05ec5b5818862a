import type { Admin } from 'kafkajs';
import { pause, systemClock } from '../../kernel/clock.ts';
import { FatalError, rootMessage } from '../../kernel/errors.ts';
import { createLogger } from '../../kernel/logger.ts';
import { type KafkaConnection, kafkaClient } from '../../log/kafka/client.ts';
import { asLogError, protocolAnswer } from '../../log/kafka/errors.ts';

const requestTimeoutMs = 30_000;
const retries = 3;
const readyTriesMax = 40;
const readyPauseMs = 250;

/** kafkajs' own messages would mix with what a command prints; what matters of them arrives as errors. */
export const silentLogger = createLogger('silent', { terminal: false });

/** Connects, lets `use` ask, and disconnects. Rejects with a `FatalError` of one line. `doing` completes "Kafka refused ...". */
export async function withAdmin<T>(
  connection: KafkaConnection,
  doing: string,
  use: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = kafkaClient(connection, silentLogger, { requestTimeoutMs, retries }).admin();
  try {
    await admin.connect();
    return await use(admin);
  } catch (error) {
    throw asFatal(error, doing, connection);
  } finally {
    // What was asked has been answered by now, and a connection that does not close cleanly changes nothing of it.
    await admin.disconnect().catch(() => undefined);
  }
}

/** One line for a person: who refused what, or who did not answer. */
export function asFatal(error: unknown, doing: string, { brokers }: KafkaConnection): FatalError {
  if (error instanceof FatalError) return error;
  const answer = protocolAnswer(error);
  const message = rootMessage(error).replaceAll(/\s+/g, ' ');
  if (answer !== undefined)
    return new FatalError(`Kafka refused ${doing}: ${answer.type}: ${message}`, { cause: error });
  if (asLogError(error, doing).code === 'log_rejected') {
    return new FatalError(`Kafka refused ${doing}: ${message}; see the KAFKA_SSL and KAFKA_SASL options`, {
      cause: error,
    });
  }
  return new FatalError(
    `Kafka at ${brokers.join(',')} did not answer ${doing}: ${message}; is --broker-list (BROKER_LIST) right?`,
    { cause: error },
  );
}

/**
 * Asks again while the broker says that it will know soon: coordinators load their groups for a while after they start, and
 * kafkajs repeats only some questions by itself.
 */
export async function untilReady<T>(question: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await question();
    } catch (error) {
      if (tries >= readyTriesMax || protocolAnswer(error)?.retriable !== true) throw error;
      await pause(systemClock, readyPauseMs);
    }
  }
}

export function hasAnswer(error: unknown, type: string): boolean {
  return protocolAnswer(error)?.type === type;
}
