import type { Clock } from '../../kernel/clock.ts';
import type { BrokerOptions } from '../broker.ts';
import type { GroupCoordinator } from '../groups/coordinator.ts';
import type { ClientQuotas } from '../quotas/client-quotas.ts';
import type { Sasl } from '../security/sasl.ts';
import type { Faults } from '../server/faults.ts';
import type { Handler } from '../server/handler.ts';
import { type TopicConfigName, topicConfigs } from '../topics/topic-configs.ts';
import type { Topics } from '../topics/topics.ts';
import type { TransactionCoordinator } from '../txn/coordinator.ts';
import type { TransactionTargets } from '../txn/transaction-targets.ts';
import { apiVersions } from './cluster/api-versions.ts';
import { describeCluster } from './cluster/describe-cluster.ts';
import { describeLogDirs } from './cluster/describe-log-dirs.ts';
import { findCoordinator } from './cluster/find-coordinator.ts';
import { deleteRecords } from './data/delete-records.ts';
import { fetch } from './data/fetch.ts';
import { listOffsets } from './data/list-offsets.ts';
import { offsetForLeaderEpoch } from './data/offset-for-leader-epoch.ts';
import { produce } from './data/produce.ts';
import { deleteGroups } from './groups/delete-groups.ts';
import { describeGroups } from './groups/describe-groups.ts';
import { heartbeat } from './groups/heartbeat.ts';
import { joinGroup } from './groups/join-group.ts';
import { leaveGroup } from './groups/leave-group.ts';
import { listGroups } from './groups/list-groups.ts';
import { offsetCommit } from './groups/offset-commit.ts';
import { offsetDelete } from './groups/offset-delete.ts';
import { offsetFetch } from './groups/offset-fetch.ts';
import { syncGroup } from './groups/sync-group.ts';
import { txnOffsetCommit } from './groups/txn-offset-commit.ts';
import { alterClientQuotas } from './quotas/alter-client-quotas.ts';
import { describeClientQuotas } from './quotas/describe-client-quotas.ts';
import { fetchWithinQuota } from './quotas/fetch-quota.ts';
import { produceWithinQuota } from './quotas/produce-quota.ts';
import { saslAuthenticate } from './security/sasl-authenticate.ts';
import { saslHandshake } from './security/sasl-handshake.ts';
import { alterConfigs } from './topics/alter-configs.ts';
import { createPartitions } from './topics/create-partitions.ts';
import { createTopics } from './topics/create-topics.ts';
import { deleteTopics } from './topics/delete-topics.ts';
import { describeConfigs } from './topics/describe-configs.ts';
import { incrementalAlterConfigs } from './topics/incremental-alter-configs.ts';
import { metadata } from './topics/metadata.ts';
import { addOffsetsToTxn } from './txn/add-offsets-to-txn.ts';
import { addPartitionsToTxn } from './txn/add-partitions-to-txn.ts';
import { describeProducers } from './txn/describe-producers.ts';
import { describeTransactions } from './txn/describe-transactions.ts';
import { endTxn } from './txn/end-txn.ts';
import { initProducerId } from './txn/init-producer-id.ts';
import { listTransactions } from './txn/list-transactions.ts';
import { writeTxnMarkers } from './txn/write-txn-markers.ts';

export interface HandlerParts {
  readonly topics: Topics;
  readonly groups: GroupCoordinator;
  readonly transactions: TransactionCoordinator;
  readonly targets: TransactionTargets;
  readonly quotas: ClientQuotas;
  readonly sasl: Sasl;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly options: BrokerOptions;
}

/** Every API that is served, by key: what ApiVersions tells and what requests are answered by are this one table. */
export function brokerHandlers(parts: HandlerParts): ReadonlyMap<number, Handler> {
  const { topics, groups, transactions, quotas, sasl, clock, options } = parts;
  const { defaultPartitions, autoCreateTopics, folder } = options;
  const byKey = new Map<number, Handler>();
  const all: Handler[] = [
    produceWithinQuota(produce(parts), quotas, clock),
    fetchWithinQuota(fetch(parts), quotas),
    listOffsets(parts),
    offsetForLeaderEpoch(parts),
    deleteRecords(parts),
    metadata({ ...parts, autoCreatedPartitions: autoCreateTopics ? defaultPartitions : undefined }),
    createTopics({ ...parts, defaultPartitions }),
    deleteTopics(parts),
    createPartitions(parts),
    describeConfigs({ ...parts, brokerSettings: brokerSettings(options) }),
    alterConfigs(parts),
    incrementalAlterConfigs(parts),
    apiVersions(() => byKey.values()),
    findCoordinator(parts),
    describeCluster(topics),
    describeLogDirs({ topics, folder }),
    offsetCommit(groups),
    offsetFetch(groups),
    joinGroup(groups),
    syncGroup(groups),
    heartbeat(groups),
    leaveGroup(groups),
    describeGroups(groups),
    listGroups(groups),
    deleteGroups(groups),
    offsetDelete(groups),
    txnOffsetCommit(groups, transactions),
    initProducerId(transactions),
    addPartitionsToTxn(transactions),
    addOffsetsToTxn(transactions),
    endTxn(transactions),
    describeProducers((topic, partition) => {
      const log = topics.log(topic, partition);
      return log === undefined ? undefined : [...log.activeProducers()];
    }),
    describeTransactions(transactions),
    listTransactions(transactions, clock),
    writeTxnMarkers(parts),
    describeClientQuotas(quotas),
    alterClientQuotas(parts),
    saslHandshake(sasl),
    saslAuthenticate,
  ];
  for (const each of all) byKey.set(each.request.apiKey, each);
  return byKey;
}

/** What a topic has by default is a setting of the broker too, by another name. */
const brokerNames: Partial<Record<TopicConfigName, string>> = {
  'cleanup.policy': 'log.cleanup.policy',
  'compression.type': 'compression.type',
  'delete.retention.ms': 'log.cleaner.delete.retention.ms',
  'max.message.bytes': 'message.max.bytes',
  'message.timestamp.type': 'log.message.timestamp.type',
  'min.insync.replicas': 'min.insync.replicas',
  'retention.bytes': 'log.retention.bytes',
  'retention.ms': 'log.retention.ms',
  'segment.bytes': 'log.segment.bytes',
  'segment.ms': 'log.roll.ms',
};

/** By Kafka's names, as far as they mean something here. */
function brokerSettings(options: BrokerOptions): Record<string, string> {
  const ofTopics = Object.entries(brokerNames).map(([name, ofBroker]) => [
    ofBroker,
    topicConfigs[name as TopicConfigName].default,
  ]);
  return {
    ...Object.fromEntries(ofTopics),
    'auto.create.topics.enable': String(options.autoCreateTopics),
    'default.replication.factor': '1',
    'group.initial.rebalance.delay.ms': String(options.groupInitialRebalanceDelayMs),
    'log.dirs': options.folder,
    'log.cleaner.backoff.ms': String(options.compactionIntervalMs),
    'log.retention.check.interval.ms': String(options.retentionIntervalMs),
    'max.connections': String(options.connectionsMax),
    'num.partitions': String(options.defaultPartitions),
    'socket.request.max.bytes': String(options.requestBytesMax),
  };
}
