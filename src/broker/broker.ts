import { mkdir } from 'node:fs/promises';
import type { Clock } from '../kernel/clock.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Metrics } from '../kernel/metrics.ts';
import { FolderLock } from './folder-lock.ts';
import { GroupCoordinator } from './groups/coordinator.ts';
import { brokerHandlers } from './handlers/handlers.ts';
import { ClientQuotas } from './quotas/client-quotas.ts';
import { Sasl } from './security/sasl.ts';
import { BrokerServer, type ListenerOptions } from './server/broker-server.ts';
import { connectionsWithin, descriptorLimit } from './server/descriptor-limit.ts';
import { Faults } from './server/faults.ts';
import type { Listener } from './server/handler.ts';
import { freeDisk } from './storage/disk-retention.ts';
import type { FlushPolicy } from './storage/partition-log.ts';
import { Maintenance } from './topics/maintenance.ts';
import { offsetsTopic, transactionsTopic } from './topics/topic-name.ts';
import { TopicStateLog } from './topics/topic-state-log.ts';
import { Topics } from './topics/topics.ts';
import { TransactionCoordinator } from './txn/coordinator.ts';
import { ProducerIds } from './txn/producer-ids.ts';
import type { TransactionTargets } from './txn/transaction-targets.ts';

/** All that a broker is told. Plain data, so that it may be handed to a worker thread. */
export interface BrokerOptions {
  /** Where the log is; made when it is not there. */
  readonly folder: string;
  readonly listeners: readonly ListenerOptions[];
  readonly flush: FlushPolicy;
  /** Passwords by user, for the listeners that ask for a login. */
  readonly users: Readonly<Record<string, string>>;
  readonly connectionsMax: number;
  readonly requestBytesMax: number;
  /** Partitions of topics that are made without saying how many. */
  readonly defaultPartitions: number;
  /** Whether a topic is made when a client asks for what is not there. */
  readonly autoCreateTopics: boolean;
  /** How long the first join of a group waits for others, so that they need no second round. */
  readonly groupInitialRebalanceDelayMs: number;
  readonly compactionIntervalMs: number;
  readonly retentionIntervalMs: number;
  /** Above it the oldest segments of topics whose `cleanup.policy` names delete go; undefined: the disk may fill up. */
  readonly diskUsedPercentMax: number | undefined;
}

export interface BrokerParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Of the folder's lock; given where this broker follows another whose end the caller has seen. */
  readonly lockToken?: string;
}

/** The embedded broker: topics on disk, coordinators over them, and a server that speaks Kafka's protocol. */
export class Broker {
  /** What clients are told to dial, in the order of the options. */
  readonly listeners: readonly Listener[];
  readonly #stop: () => Promise<void>;

  private constructor(listeners: readonly Listener[], stop: () => Promise<void>) {
    this.listeners = listeners;
    this.#stop = stop;
  }

  /**
   * Recovers what is on the disk, then listens. Rejects with a `FolderInUseError` when another broker has the folder, with a
   * `PortUnavailableError` when one cannot listen, and with another `FatalError` when the files cannot be used.
   */
  static async start(options: BrokerOptions, { clock, logger, metrics, lockToken }: BrokerParts): Promise<Broker> {
    await mkdir(options.folder, { recursive: true });
    const undo: (() => Promise<void>)[] = [];
    const stop = async (): Promise<void> => {
      for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
        await step().catch((error: unknown) => logger.warn({ err: error }, 'the broker did not stop cleanly'));
      }
    };
    try {
      const lock = await FolderLock.take(options.folder, clock, lockToken);
      undo.push(() => lock.release());
      const topics = await Topics.open({ folder: options.folder, flush: options.flush, clock, logger });
      const maintenance = new Maintenance({
        topics,
        compactionIntervalMs: options.compactionIntervalMs,
        retentionIntervalMs: options.retentionIntervalMs,
        makeRoom: roomMaker(topics, options, { clock, logger }),
        clock,
        logger,
      });
      // A compaction under way ends when its log is closed, and the files are let go of after that.
      undo.push(() => maintenance.ended());
      undo.push(() => topics.close());
      const { groups, transactions, targets } = coordinators(topics, options, { clock, logger });
      await groups.load();
      undo.push(async () => groups.stop());
      await transactions.run();
      undo.push(() => transactions.stop());

      const faults = new Faults(logger);
      const handlers = brokerHandlers({
        ...{ topics, groups, transactions, targets, faults, clock, options },
        quotas: new ClientQuotas(topics, clock),
        sasl: await Sasl.of(new Map(Object.entries(options.users))),
      });
      const { requestBytesMax } = options;
      const openFilesMax = descriptorLimit();
      const connectionsMax = connectionsWithin(openFilesMax, options.connectionsMax);
      if (connectionsMax < options.connectionsMax) {
        logger.info(
          `the system lets this process have ${openFilesMax} files open, so at most ${connectionsMax} clients`,
        );
      }
      const server = new BrokerServer({ handlers, connectionsMax, requestBytesMax, faults, clock, logger });
      undo.push(() => server.close());
      const listeners: Listener[] = [];
      for (const each of options.listeners) listeners.push(await server.listen(each));

      maintenance.start();
      undo.push(async () => maintenance.stop());
      registerMetrics(metrics, { topics, server, faults, maintenance, groups });
      return new Broker(listeners, stop);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  /** Cuts clients off, and leaves files from which the next start need recover nothing. */
  stop(): Promise<void> {
    return this.#stop();
  }
}

function coordinators(topics: Topics, options: BrokerOptions, { clock, logger }: Omit<BrokerParts, 'metrics'>) {
  const stateLog = (topic: string) => new TopicStateLog(topics.log(topic, 0)!, topics.leaderEpoch);
  const hasPartition = (topic: string, partition: number) => topics.log(topic, partition) !== undefined;
  const groups = new GroupCoordinator({
    log: stateLog(offsetsTopic),
    hasPartition,
    settings: { initialRebalanceDelayMs: options.groupInitialRebalanceDelayMs },
    clock,
    logger,
  });
  topics.onRemoval(({ name }) => {
    groups
      .forgetTopic(name)
      .catch((error: unknown) => logger.warn({ err: error, topic: name }, 'offsets of a deleted topic stay'));
  });
  const targets: TransactionTargets = {
    hasPartition,
    writeMarker: async (topic, partition, marker) => {
      const log = topics.log(topic, partition);
      if (log === undefined) return;
      const { offset } = log.appendMarker({ ...marker, leaderEpoch: topics.leaderEpoch });
      await log.flushed(offset + 1);
      if (topic === offsetsTopic) groups.completeTransaction(marker.producerId, marker.producerEpoch, marker.commit);
    },
  };
  const transactions = new TransactionCoordinator({
    log: stateLog(transactionsTopic),
    targets,
    producerIds: new ProducerIds({
      firstUnreservedId: topics.firstUnreservedProducerId,
      reserve: (firstUnreservedId) => topics.reserveProducerIds(firstUnreservedId),
    }),
    clock,
    logger,
  });
  return { groups, transactions, targets };
}

function roomMaker(topics: Topics, { folder, diskUsedPercentMax }: BrokerOptions, parts: Omit<BrokerParts, 'metrics'>) {
  if (diskUsedPercentMax === undefined) return undefined;
  return async (): Promise<void> => {
    const logs = [...topics.all()].filter(({ isDeletable }) => isDeletable).flatMap((topic) => topic.logs);
    await freeDisk({ folder, logs, usedPercentMax: diskUsedPercentMax, ...parts });
  };
}

function registerMetrics(
  metrics: Metrics,
  parts: { topics: Topics; server: BrokerServer; faults: Faults; maintenance: Maintenance; groups: GroupCoordinator },
): void {
  const { topics, server, faults, maintenance } = parts;
  const gauge = (name: string, help: string, read: () => number): void => {
    metrics.gauge({ name: `bitacora_broker_${name}`, help, read });
  };
  const counter = (name: string, help: string, read: () => number): void => {
    metrics.counter({ name: `bitacora_broker_${name}_total`, help, read });
  };
  gauge('connections', 'Clients that are connected.', () => server.connections);
  counter('requests', 'Requests of clients.', () => server.stats.requests);
  counter('refused_connections', 'Connections ended because of what came, or turned away.', () => server.stats.refused);
  counter('faults', 'Requests answered UNKNOWN_SERVER_ERROR; each is in the log.', () => faults.count);
  counter(
    'cleaning_failures',
    'Logs that could not be cleaned or compacted; each is tried again.',
    () => maintenance.failures,
  );
  gauge('partitions', 'Partitions of all topics.', () => topics.partitionCount);
  metrics.gauge({
    name: 'bitacora_broker_partition_bytes',
    help: 'Bytes of a partition on disk.',
    labelNames: ['topic', 'partition'],
    read: () => perPartition(topics, (log) => log.sizeBytes),
  });
  metrics.gauge({
    name: 'bitacora_broker_partition_end_offset',
    help: 'Offset that the next record of a partition will have.',
    labelNames: ['topic', 'partition'],
    read: () => perPartition(topics, (log) => log.endOffset),
  });
}

function perPartition(topics: Topics, read: (log: { sizeBytes: number; endOffset: number }) => number) {
  return [...topics.all()].flatMap(({ name: topic, logs }) =>
    logs.map((log, partition) => ({ labels: { topic, partition: String(partition) }, value: read(log) })),
  );
}
