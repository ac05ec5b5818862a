import kafkajs, { type Kafka, type KafkaConfig, type LogEntry } from 'kafkajs';
import type { Logger } from '../../kernel/logger.ts';
import type { KafkaConnection } from '../kafka-connection.ts';

export type { KafkaConnection } from '../kafka-connection.ts';

export interface ClientOptions {
  readonly requestTimeoutMs: number;
  readonly retries: number;
}

/** A kafkajs client of its own: each part of the adapter has one, so that none inherits another's retries and time-outs. */
export function kafkaClient(connection: KafkaConnection, logger: Logger, options: ClientOptions): Kafka {
  const { tls, sasl } = connection;
  const config: KafkaConfig = {
    brokers: [...connection.brokers],
    clientId: connection.clientId,
    connectionTimeout: 5_000,
    authenticationTimeout: 10_000,
    requestTimeout: options.requestTimeoutMs,
    retry: { retries: options.retries, initialRetryTime: 100, maxRetryTime: 2_000 },
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => (entry) => logEntry(logger, entry),
  };
  if (tls !== undefined) config.ssl = { ...tls };
  if (sasl !== undefined) config.sasl = { ...sasl } as NonNullable<KafkaConfig['sasl']>;
  return new kafkajs.Kafka(config);
}

/** kafkajs reports each failed try as an error; the adapter reports what matters itself, so all of it is detail here. */
function logEntry(logger: Logger, entry: LogEntry): void {
  const { message, timestamp: _, ...detail } = entry.log;
  logger.debug({ kafkajs: entry.namespace, ...detail }, message);
}
