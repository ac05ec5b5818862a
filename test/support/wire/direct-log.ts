import { systemClock } from '../../../src/kernel/clock.ts';
import type { Logger } from '../../../src/kernel/logger.ts';
import type { Log } from '../../../src/log/log.ts';
import { Brokers } from '../../../src/log/wire/brokers.ts';
import { DirectReader, DirectReaderStats } from '../../../src/log/wire/direct-reader.ts';
import type { IsolationLevel } from '../../../src/log/wire/fetch-loop.ts';
import type { Reachable } from '../kafka/client.ts';
import { freshTopicName } from '../kafka/topics.ts';
import { silentLogger } from '../kafka-log.ts';

export interface DirectLogOptions {
  readonly isolation?: IsolationLevel;
  readonly groupId?: string;
  readonly stats?: DirectReaderStats;
  readonly logger?: Logger;
}

/** A topic that is read by the direct reader, with nothing around it. */
export function directLog(kafka: Reachable, topic: string, options: DirectLogOptions = {}): Pick<Log, 'read'> {
  const {
    isolation = 'read_committed',
    groupId = freshTopicName('direct'),
    stats = new DirectReaderStats(),
    logger = silentLogger,
  } = options;
  const connection = { brokers: kafka.brokerList.split(','), clientId: groupId, tls: undefined, sasl: undefined };
  const clock = systemClock;
  return {
    read: (from, handler) => {
      const brokers = new Brokers({ connection, clock, logger });
      return new DirectReader(
        { brokers, topic, topicId: undefined, groupId, from, handler, isolation, clock, logger },
        stats,
      );
    },
  };
}
