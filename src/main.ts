#!/usr/bin/env node
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AvroServer } from './avro/avro-server.ts';
import { HostedBroker } from './broker/hosted-broker.ts';
import { LocalBroker } from './broker/local-broker.ts';
import { brokerOptionsOf } from './broker-program.ts';
import { Cluster } from './cluster/cluster.ts';
import { LogMembership } from './cluster/log-topic/log-membership.ts';
import type { Membership } from './cluster/membership.ts';
import { OwnAddress } from './cluster/own-address.ts';
import { Peers } from './cluster/peers.ts';
import { StaticMembership } from './cluster/static-membership.ts';
import { ZookeeperMembership } from './cluster/zookeeper/zookeeper-membership.ts';
import { embeddedBrokerConfig } from './config/broker-config.ts';
import { type Config, membersSuffix, readArguments } from './config/config.ts';
import { helpText } from './config/describe-options.ts';
import { Database, keyBytesMax } from './database/database.ts';
import { HttpServer } from './http/http-server.ts';
import { pause, systemClock } from './kernel/clock.ts';
import { FatalError } from './kernel/errors.ts';
import { type Service, Services } from './kernel/lifecycle.ts';
import { createLogger, type Logger } from './kernel/logger.ts';
import { Metrics } from './kernel/metrics.ts';
import { KafkaLog } from './log/kafka/kafka-log.ts';
import { partitioners } from './log/partitioner.ts';
import { CatchUpReporter } from './replica/catch-up-reporter.ts';
import { Replica } from './replica/replica.ts';
import type { SnapshotOptions } from './replica/snapshot-keeper.ts';
import { SnapshotFile, snapshotPath } from './snapshot/snapshot-file.ts';
import { ArenaStore } from './store/arena-store.ts';
import { type HashSeed, keyHash } from './store/key-hash.ts';
import { registerStoreMetrics } from './store/metrics.ts';
import type { Store } from './store/store.ts';

/** Room in a record batch for its header, a key of the greatest length and a record's own fields. */
const batchOverheadBytes = keyBytesMax + 4096;
/** Kafka's default, until the topic tells its own. */
const deleteRetentionMs = 86_400_000;
const zookeeperSessionTimeoutMs = 10_000;
/** For how long a node that cannot go on takes leave of Kafka and of the others. */
const failWithinMs = 5_000;

export interface Node {
  readonly database: Database;
  readonly store: Store;
  readonly http: HttpServer;
  readonly avro: AvroServer;
  /** Which log is used and where, for a person. */
  logPlace(): string;
  /** Starts everything; rejects with a `FatalError` when it cannot. */
  run(): Promise<void>;
  /** Answers what is under way, then lets go of everything. */
  stop(): Promise<void>;
}

/** Wires the rooms together. `onFatal` is called when the node finds out later that it cannot go on. */
export function createNode(config: Config, logger: Logger, onFatal: (error: FatalError) => void): Node {
  const clock = systemClock;
  const metrics = new Metrics();
  const partitioner = partitioners[config.partitioner];
  const log = kafkaLog(config, config.kafkaTopic, logger, metrics);
  const seed = hashSeed();
  const store = memoryStore(config, seed);
  registerStoreMetrics(metrics, store);
  const replica = new Replica({
    log,
    store,
    finishStore: () => store.buildIndex(),
    ...(config.snapshotIntervalMs > 0 && { snapshots: snapshotsOf(config, store, seed) }),
    partitioner,
    settings: { partitions: config.kafkaPartitions, maxMessageBytes: config.valueBytesMax + batchOverheadBytes },
    readyLagMaxMs: config.readyLagMaxMs,
    clock,
    logger,
    metrics,
    onFatal,
  });
  const self = { id: config.nodeId, instance: randomUUID(), socket: config.avroSocket };
  const membership = membershipOf(config, logger, onFatal);
  const cluster = new Cluster({ membership, self, clock, logger, metrics });
  const { valueBytesMax, readTimeoutMs, writeTimeoutMs, peerTimeoutMs: timeoutMs, missLookup } = config;
  const peers = new Peers({ membership, timeoutMs, valueBytesMax, clock, metrics });
  const database = new Database({
    log,
    store,
    orderedStore: config.orderedIndex === 'on' ? store : undefined,
    replica,
    cluster,
    peers,
    missLookup,
    partitioner,
    valueBytesMax,
    readTimeoutMs,
    writeTimeoutMs,
    clock,
    metrics,
  });
  const reporter = new CatchUpReporter({
    status: () => replica.status(),
    terminal: process.stderr.isTTY ? process.stderr : undefined,
    clock,
    logger,
  });
  const http = new HttpServer({
    database,
    host: config.apiHost,
    port: config.apiPort,
    identity: self,
    version: packageVersion(),
    clock,
    logger,
    metrics,
  });
  const avro = new AvroServer({ database, host: config.apiHost, port: config.avroPort, clock, logger, metrics });
  const ownAddress = new OwnAddress({ self, clock, logger });
  // Ended in the reverse order: others stop asking first, requests are answered while the replica still applies and peers can
  // be asked, and writes leave while there is a log.
  const broker = config.mayHostBroker ? localBroker(config, logger, metrics) : undefined;
  const hosting = broker === undefined ? [] : [broker];
  // A port in use, or another node at this one's address, is found before Kafka or others hear of this node.
  const heard = [listening(http), listening(avro), ownAddress];
  const order = [...heard, ...hosting, log, replica, reporter, peers, answering(http), answering(avro), cluster];
  const services = new Services(order, logger);
  const logPlace = (): string => broker?.place ?? `Kafka at ${config.brokerList.join(',')}`;
  return { database, store, http, avro, logPlace, run: () => services.run(), stop: () => services.stop() };
}

function hashSeed(): HashSeed {
  const seed = randomBytes(8);
  return [seed.readInt32LE(0), seed.readInt32LE(4)];
}

function memoryStore(config: Config, seed: HashSeed): ArenaStore {
  const ordered = config.orderedIndex === 'on';
  return new ArenaStore({ tombstoneRetentionMs: deleteRetentionMs, hash: keyHash(seed), ordered });
}

function snapshotsOf(config: Config, store: ArenaStore, seed: HashSeed): SnapshotOptions {
  const { dataDir, kafkaTopic: topic, nodename, apiPort, snapshotIntervalMs: intervalMs, partitioner } = config;
  const path = snapshotPath(dataDir, { topic, nodename, apiPort });
  return { file: new SnapshotFile({ path, store, seed }), intervalMs, partitioner };
}

/** Where nobody has named a Kafka: the broker that this machine has, or else one of this node's own. */
function localBroker(config: Config, logger: Logger, metrics: Metrics): LocalBroker {
  const clock = systemClock;
  const options = brokerOptionsOf(embeddedBrokerConfig(config));
  const input = { options, logLevel: config.logLevel, terminal: process.stdout.isTTY };
  const hosted = new HostedBroker({ input, clock, logger });
  metrics.include(() => hosted.metrics());
  return new LocalBroker({ hosted, port: config.brokerPort, folder: options.folder, clock });
}

/** A front end as a port that is open. */
function listening(server: Service): Service {
  return { name: `port of the ${server.name}`, run: () => server.run(), stop: () => server.stop() };
}

/** A front end as one that listens already: how it ends. */
function answering(server: Service): Service {
  return {
    name: server.name,
    run: async () => {},
    retire: () => server.retire?.(),
    drain: async () => server.drain?.(),
    stop: () => server.stop(),
  };
}

function kafkaLog(config: Config, topic: string, logger: Logger, metrics: Metrics): KafkaLog {
  return new KafkaLog({
    connection: {
      brokers: config.brokerList,
      clientId: `bitacora-${config.nodeId}`,
      tls: config.kafkaTls,
      sasl: config.kafkaSasl,
    },
    topic,
    groupId: `${topic}-${config.nodename}-${config.apiPort}`,
    reader: config.logReader,
    writeTimeoutMs: config.writeTimeoutMs,
    clock: systemClock,
    logger,
    metrics,
  });
}

/** How this node finds the others. */
function membershipOf(config: Config, logger: Logger, onFatal: (error: FatalError) => void): Membership {
  const clock = systemClock;
  if (config.peers !== undefined) return new StaticMembership(config.peers);
  if (config.zookeeperHost !== undefined) {
    const connect = config.zookeeperHost;
    return new ZookeeperMembership({ connect, sessionTimeoutMs: zookeeperSessionTimeoutMs, clock, logger, onFatal });
  }
  const topic = `${config.kafkaTopic}${membersSuffix}`;
  const named = logger.child({ topic });
  // The database's own log has metrics of the same names.
  const log = kafkaLog(config, topic, named, new Metrics({ process: false }));
  return new LogMembership({ log, clock, logger: named, onFatal });
}

function packageVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

async function main(): Promise<void> {
  const command = readArguments(process.argv.slice(2), process.env);
  if (command.kind === 'help') return void process.stdout.write(helpText());
  if (command.kind === 'version') return void process.stdout.write(`${packageVersion()}\n`);

  const { config } = command;
  const logger = createLogger(config.logLevel, { terminal: process.stdout.isTTY });
  const node = createNode(config, logger, fail);

  let stopping = false;
  let failed = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping || failed) process.exit(1);
    stopping = true;
    logger.info(`${signal}: answering what is under way, then stopping; a second signal stops at once`);
    node.stop().then(() => process.exit(failed ? 1 : 0), endWith);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  /** Ends the node in an orderly manner too: a consumer that leaves its group spares the next one the wait for its time-out. */
  function fail(error: unknown): void {
    if (failed) return;
    failed = true;
    complain(error);
    process.exitCode = 1;
    void Promise.race([node.stop(), pause(systemClock, failWithinMs)]).finally(() => process.exit(1));
  }

  try {
    await node.run();
  } catch (error) {
    fail(error);
  }
  if (stopping || failed) return;
  logger.info(
    `bitacora ${packageVersion()} at http://${config.nodeId}/rpc, Avro at ${config.avroSocket}, ` +
      `topic "${config.kafkaTopic}" on ${node.logPlace()}`,
  );
}

/** One line for a person when it is the environment's fault; the stack when it is ours. */
function complain(error: unknown): void {
  process.stderr.write(error instanceof FatalError ? `bitacora: ${error.message}\n` : `${(error as Error).stack}\n`);
}

function endWith(error: unknown): void {
  complain(error);
  process.exit(1);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch(endWith);
}
