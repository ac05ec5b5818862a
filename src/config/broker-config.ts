import { readFileSync } from 'node:fs';
import { FatalError } from '../kernel/errors.ts';
import type { LogLevel } from '../kernel/logger.ts';
import { brokerFlagOf, brokerOptions } from './broker-options.ts';
import type { SecurityProtocol } from './option-types.ts';
import { readOptions, type ValuesOf } from './read-options.ts';

type RawBrokerConfig = ValuesOf<typeof brokerOptions>;

export interface BrokerListener {
  readonly protocol: SecurityProtocol;
  readonly hosts: readonly string[];
  readonly port: number;
  readonly advertisedHost: string;
  /** undefined: the port that is listened on. */
  readonly advertisedPort: number | undefined;
}

export interface BrokerConfig {
  readonly dataDir: string;
  readonly flush: 'none' | 'interval' | 'acks-all';
  readonly listeners: readonly BrokerListener[];
  /** PEM texts. */
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined;
  /** Passwords by user. */
  readonly users: Readonly<Record<string, string>>;
  readonly connectionsMax: number;
  readonly requestBytesMax: number;
  readonly defaultPartitions: number;
  readonly autoCreateTopics: boolean;
  readonly groupDelayMs: number;
  readonly compactionIntervalMs: number;
  readonly retentionIntervalMs: number;
  readonly diskPercentMax: number | undefined;
  readonly metricsPort: number | undefined;
  readonly logLevel: LogLevel;
}

export type BrokerArguments = { kind: 'run'; config: BrokerConfig } | { kind: 'help' } | { kind: 'version' };

/** Arguments and environment of `bitacora broker`, checked. Throws a `FatalError` of one line. */
export function readBrokerArguments(argv: readonly string[], environment: NodeJS.ProcessEnv): BrokerArguments {
  const read = readOptions({ table: brokerOptions, flagOf: brokerFlagOf, argv, environment });
  return read.kind === 'run' ? { kind: 'run', config: complete(read.values) } : read;
}

/** The broker as a node starts it in itself: for this machine alone, everything else as it is by default. */
export function embeddedBrokerConfig({
  brokerPort,
  dataDir,
  brokerFlush,
  logLevel,
}: {
  readonly brokerPort: number;
  readonly dataDir: string;
  readonly brokerFlush: RawBrokerConfig['brokerFlush'];
  readonly logLevel: LogLevel;
}): BrokerConfig {
  const read = readOptions({ table: brokerOptions, flagOf: brokerFlagOf, argv: [], environment: {} });
  if (read.kind !== 'run') throw new Error('no argument was given, and yet help was asked for');
  return complete({ ...read.values, brokerPort, dataDir, brokerFlush, logLevel });
}

function complete(raw: RawBrokerConfig): BrokerConfig {
  const listeners = listenersOf(raw);
  const uses = (name: string): boolean => listeners.some(({ protocol }) => protocol.includes(name));
  const tls = tlsOf(raw);
  if (uses('SSL') && tls === undefined) {
    throw new FatalError('BROKER_LISTENERS has one with SSL: set BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE');
  }
  if (uses('SASL') && raw.usersFile === undefined) {
    throw new FatalError('BROKER_LISTENERS has one with SASL: set BROKER_USERS_FILE');
  }
  const { connectionsMax, requestBytesMax, defaultPartitions, autoCreateTopics, groupDelayMs } = raw;
  const { compactionIntervalMs, retentionIntervalMs, diskPercentMax, metricsPort, logLevel, dataDir } = raw;
  return {
    dataDir,
    flush: raw.brokerFlush,
    listeners,
    tls,
    users: raw.usersFile === undefined ? {} : usersOf(raw.usersFile),
    connectionsMax,
    requestBytesMax,
    defaultPartitions,
    autoCreateTopics,
    groupDelayMs,
    compactionIntervalMs,
    retentionIntervalMs,
    diskPercentMax,
    metricsPort,
    logLevel,
  };
}

/** Clients on the machine may take either address for localhost, so both are listened on; IPv4 is what most dial. */
const loopback = { hosts: ['127.0.0.1', '::1'], advertised: '127.0.0.1' };

function listenersOf({ listeners, advertise, brokerPort }: RawBrokerConfig): BrokerListener[] {
  const addresses = listeners ?? [{ protocol: 'PLAINTEXT' as const, host: 'localhost', port: brokerPort }];
  if (advertise !== undefined && advertise.length !== addresses.length) {
    throw new FatalError(
      `BROKER_ADVERTISE names ${advertise.length} addresses for ${addresses.length} listeners: give one for each`,
    );
  }
  return addresses.map(({ protocol, host, port }, index) => {
    const isLocal = host === 'localhost';
    const told = advertise?.[index];
    if (told === undefined && (host === '0.0.0.0' || host === '::')) {
      throw new FatalError(`the broker listens on ${host}, which no client can dial: set BROKER_ADVERTISE`);
    }
    return {
      protocol,
      hosts: isLocal ? loopback.hosts : [host],
      port,
      advertisedHost: told?.host ?? (isLocal ? loopback.advertised : host),
      advertisedPort: told?.port,
    };
  });
}

function tlsOf({ tlsCertFile, tlsKeyFile, tlsClientCaFile }: RawBrokerConfig): BrokerConfig['tls'] {
  if (tlsCertFile === undefined && tlsKeyFile === undefined && tlsClientCaFile === undefined) return undefined;
  if (tlsCertFile === undefined || tlsKeyFile === undefined) {
    throw new FatalError('BROKER_TLS_CERT_FILE and BROKER_TLS_KEY_FILE: expected both');
  }
  return {
    cert: readText('BROKER_TLS_CERT_FILE', tlsCertFile),
    key: readText('BROKER_TLS_KEY_FILE', tlsKeyFile),
    clientCa: tlsClientCaFile === undefined ? undefined : readText('BROKER_TLS_CLIENT_CA_FILE', tlsClientCaFile),
  };
}

function usersOf(path: string): Record<string, string> {
  const users = new Map<string, string>();
  const lines = readText('BROKER_USERS_FILE', path).split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const [, user, password] = /^([^:]+):(.+)$/.exec(line) ?? [];
    if (user === undefined || password === undefined) {
      // The line itself may hold a password.
      throw new FatalError(`BROKER_USERS_FILE ${JSON.stringify(path)}, line ${index + 1}: expected user:password`);
    }
    users.set(user, password);
  }
  return Object.fromEntries(users);
}

function readText(variable: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new FatalError(
      `${variable} is ${JSON.stringify(path)}: expected a readable file (${(error as Error).message})`,
      { cause: error },
    );
  }
}
