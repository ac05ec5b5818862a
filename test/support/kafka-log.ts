import { systemClock } from '../../src/kernel/clock.ts';
import { createLogger } from '../../src/kernel/logger.ts';
import { Metrics } from '../../src/kernel/metrics.ts';
import { KafkaLog, type KafkaLogOptions } from '../../src/log/kafka/kafka-log.ts';

export const silentLogger = createLogger('silent', { terminal: false });

/** The Kafka log as the program makes it, for one topic of a test. */
export function makeKafkaLog(
  kafka: { brokerList: string },
  topic: string,
  {
    groupId = `${topic}-group`,
    writeTimeoutMs = 10_000,
    reader = 'direct',
  }: { groupId?: string; writeTimeoutMs?: number; reader?: KafkaLogOptions['reader'] } = {},
): KafkaLog {
  return new KafkaLog({
    connection: { brokers: kafka.brokerList.split(','), clientId: groupId, tls: undefined, sasl: undefined },
    topic,
    groupId,
    reader,
    writeTimeoutMs,
    clock: systemClock,
    logger: silentLogger,
    metrics: new Metrics(),
  });
}
