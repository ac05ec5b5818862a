import { createServer, type Server } from 'node:http';
import { join, resolve } from 'node:path';
import { Broker, type BrokerOptions } from './broker/broker.ts';
import { type BrokerConfig, type BrokerListener, readBrokerArguments } from './config/broker-config.ts';
import { brokerHelpText } from './config/describe-options.ts';
import { systemClock } from './kernel/clock.ts';
import { FatalError } from './kernel/errors.ts';
import { createLogger, type Logger } from './kernel/logger.ts';
import { Metrics } from './kernel/metrics.ts';

const flushIntervalMs = 1_000;

/** What the broker is told, from what the user said. */
export function brokerOptionsOf(config: BrokerConfig): BrokerOptions {
  return {
    folder: resolve(join(config.dataDir, 'log')),
    listeners: config.listeners.map((each) => listenerOf(each, config)),
    flush: config.flush === 'interval' ? { intervalMs: flushIntervalMs } : config.flush,
    users: config.users,
    connectionsMax: config.connectionsMax,
    requestBytesMax: config.requestBytesMax,
    defaultPartitions: config.defaultPartitions,
    autoCreateTopics: config.autoCreateTopics,
    groupInitialRebalanceDelayMs: config.groupDelayMs,
    compactionIntervalMs: config.compactionIntervalMs,
    retentionIntervalMs: config.retentionIntervalMs,
    diskUsedPercentMax: config.diskPercentMax,
  };
}

function listenerOf(listener: BrokerListener, { tls }: BrokerConfig): BrokerOptions['listeners'][number] {
  const { protocol, hosts, port, advertisedHost, advertisedPort } = listener;
  return {
    hosts,
    port,
    advertisedHost,
    ...(advertisedPort === undefined ? {} : { advertisedPort }),
    ...(protocol.includes('SSL') && tls !== undefined
      ? { tls: { cert: tls.cert, key: tls.key, ...(tls.clientCa === undefined ? {} : { clientCa: tls.clientCa }) } }
      : {}),
    requiresLogin: protocol.startsWith('SASL'),
  };
}

export interface BrokerProgram {
  /** What clients are told to dial. */
  readonly addresses: readonly string[];
  /** undefined: no metrics are served. */
  readonly metricsPort: number | undefined;
  stop(): Promise<void>;
}

/** `bitacora broker`: the broker alone, with its metrics over HTTP where that was asked for. */
export async function startBroker(config: BrokerConfig, logger: Logger): Promise<BrokerProgram> {
  const metrics = new Metrics();
  const broker = await Broker.start(brokerOptionsOf(config), { clock: systemClock, logger, metrics });
  let server: Server | undefined;
  try {
    if (config.metricsPort !== undefined) server = await serveMetrics(config.metricsPort, metrics, logger);
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return {
    addresses: broker.listeners.map(({ advertisedHost: host, advertisedPort: port }) =>
      host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    ),
    metricsPort: (server?.address() as { port: number } | undefined)?.port,
    stop: async () => {
      server?.close();
      server?.closeAllConnections();
      await broker.stop();
    },
  };
}

function serveMetrics(port: number, metrics: Metrics, logger: Logger): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') return void response.writeHead(404).end();
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  return new Promise((done, fail) => {
    server.once('error', (error) =>
      fail(new FatalError(`BROKER_METRICS_PORT ${port} cannot be used: ${error.message}`, { cause: error })),
    );
    server.listen({ host: '127.0.0.1', port }, () => {
      // Without a listener an error would end the process, and clients need the broker whether its metrics are read or not.
      server.on('error', (error) => logger.warn({ err: error }, 'a reader of the metrics could not be accepted'));
      done(server);
    });
  });
}

/** Runs `bitacora broker` until a signal ends it; rejects with a `FatalError` when it cannot start. */
export async function runBroker(argv: readonly string[], version: string): Promise<void> {
  const command = readBrokerArguments(argv, process.env);
  if (command.kind === 'help') return void process.stdout.write(brokerHelpText());
  if (command.kind === 'version') return void process.stdout.write(`${version}\n`);
  const { config } = command;
  const logger = createLogger(config.logLevel, { terminal: process.stdout.isTTY });
  const program = await startBroker(config, logger);
  const stopped = new Promise<void>((done) => {
    const stop = (signal: NodeJS.Signals): void => {
      logger.info(`${signal}: stopping; a second signal stops at once`);
      // Nobody listens to the next one, which then ends the process as signals do.
      process.off('SIGINT', stop).off('SIGTERM', stop);
      done();
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
  });
  const metrics =
    program.metricsPort === undefined ? '' : `, metrics at http://127.0.0.1:${program.metricsPort}/metrics`;
  // Not a line of the log: whoever starts the broker on any free port reads it.
  process.stdout.write(
    `bitacora broker ${version} listens at ${program.addresses.join(', ')}, data in ${resolve(config.dataDir, 'log')}${metrics}\n`,
  );
  await stopped;
  await program.stop();
}
