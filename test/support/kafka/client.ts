import { setTimeout as delay } from 'node:timers/promises';
import { type KafkaConfig, Kafka as KafkaJs, logLevel } from 'kafkajs';

/** What a client needs to know of a Kafka. */
export interface Reachable {
  brokerList: string;
}

export function kafkajsClient({ brokerList }: Reachable, config: Partial<KafkaConfig> = {}): KafkaJs {
  return new KafkaJs({
    clientId: 'bitacora-test-support',
    brokers: brokerList.split(','),
    logLevel: logLevel.NOTHING,
    ...config,
  });
}

interface ReadyOptions {
  /** Whom to wait for: another Kafka may have been quicker to take the port. Any by default. */
  clusterId?: string;
  signal: AbortSignal;
}

/** Resolves when a broker is ready for topics and records: a port that only listens is not enough. */
export async function waitUntilReady(kafka: Reachable, { clusterId, signal }: ReadyOptions): Promise<void> {
  const client = kafkajsClient(kafka, { connectionTimeout: 1_000, requestTimeout: 5_000, retry: { retries: 0 } });
  while (!signal.aborted) {
    const admin = client.admin();
    try {
      await admin.connect();
      const cluster = await admin.describeCluster();
      if (cluster.brokers.length > 0 && cluster.clusterId === (clusterId ?? cluster.clusterId)) return;
    } catch {
      // Not ready yet; the caller's signal bounds how long that may last.
    } finally {
      await admin.disconnect();
    }
    await delay(100);
  }
  signal.throwIfAborted();
}
