import { logLevels } from '../kernel/logger.ts';
import { advertisedList, boolean, filePath, integer, listenerList, type Option, oneOf, text } from './option-types.ts';

/** What a node tells the broker that it starts in itself. */
export const embeddedBrokerOptions = {
  brokerPort: {
    env: 'BROKER_PORT',
    type: integer(1, 65535),
    default: '9092',
    help: 'Port of the embedded broker on this machine.',
  },
  dataDir: {
    env: 'DATA_DIR',
    type: text(/^.+$/s, 'path of a folder'),
    default: './data',
    help: 'Where data is kept; the embedded broker keeps its log in the folder log in it.',
  },
  brokerFlush: {
    env: 'BROKER_FLUSH',
    type: oneOf('none', 'interval', 'acks-all'),
    default: 'interval',
    help: 'When the embedded broker forces data to the disk: when the system does, every second, or before each acks=all acknowledgement. Data outlives a killed process with any of them, a power cut with acks-all.',
  },
} as const satisfies Record<string, Option<unknown>>;

/** Every option of `bitacora broker`. */
export const brokerOptions = {
  ...embeddedBrokerOptions,
  // 0, any that is free, makes sense where whoever starts the broker reads its first line.
  brokerPort: {
    ...embeddedBrokerOptions.brokerPort,
    type: integer(0, 65535),
    help: 'Port for clients; 0: one that is free.',
  },
  listeners: {
    env: 'BROKER_LISTENERS',
    type: listenerList,
    defaultNote: 'PLAINTEXT://localhost:PORT, over IPv4 and IPv6',
    help: 'Addresses to listen on, and how clients speak there.',
  },
  advertise: {
    env: 'BROKER_ADVERTISE',
    type: advertisedList,
    defaultNote: 'the address of the listener; 127.0.0.1 for localhost',
    help: 'What clients are told to dial.',
  },
  tlsCertFile: {
    env: 'BROKER_TLS_CERT_FILE',
    type: filePath,
    help: 'PEM file with the certificate of listeners with SSL.',
  },
  tlsKeyFile: { env: 'BROKER_TLS_KEY_FILE', type: filePath, help: 'PEM file with its key.' },
  tlsClientCaFile: {
    env: 'BROKER_TLS_CLIENT_CA_FILE',
    type: filePath,
    help: 'PEM file with authorities; clients then need a certificate of one of them.',
  },
  usersFile: {
    env: 'BROKER_USERS_FILE',
    type: filePath,
    help: 'File with a line user:password for each user of the listeners with SASL (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512).',
  },
  connectionsMax: {
    env: 'BROKER_CONNECTIONS_MAX',
    type: integer(1, 1_000_000),
    default: '10000',
    help: 'Connections at a time; further clients are turned away.',
  },
  requestBytesMax: {
    env: 'BROKER_REQUEST_BYTES_MAX',
    type: integer(1_024, 1_073_741_824),
    default: '104857600',
    help: 'Largest request, in bytes; a larger one ends its connection.',
  },
  defaultPartitions: {
    env: 'BROKER_DEFAULT_PARTITIONS',
    type: integer(1, 1_000),
    default: '1',
    help: 'Partitions of topics that are made without saying how many.',
  },
  autoCreateTopics: {
    env: 'BROKER_AUTO_CREATE_TOPICS',
    type: boolean,
    default: 'true',
    help: 'Make a topic when a client asks for one that is not there.',
  },
  groupDelayMs: {
    env: 'BROKER_GROUP_DELAY_MS',
    type: integer(0, 300_000),
    default: '0',
    help: 'How long the first member of a new group waits for others, so that they need no second round.',
  },
  compactionIntervalMs: {
    env: 'BROKER_COMPACTION_INTERVAL_MS',
    type: integer(100, 86_400_000),
    default: '15000',
    help: 'How often it is looked for logs that are dirty enough to be compacted.',
  },
  retentionIntervalMs: {
    env: 'BROKER_RETENTION_INTERVAL_MS',
    type: integer(100, 86_400_000),
    default: '300000',
    help: 'How often it is looked for segments that are too old or too many.',
  },
  diskPercentMax: {
    env: 'BROKER_DISK_PERCENT_MAX',
    type: integer(1, 100),
    help: 'When the disk is fuller, the oldest segments of topics whose cleanup.policy names delete go. Unset: they go by age and size alone.',
  },
  metricsPort: {
    env: 'BROKER_METRICS_PORT',
    type: integer(0, 65535),
    help: 'Port on which this machine can get /metrics, in Prometheus’ format. Unset: none.',
  },
  logLevel: {
    env: 'LOG_LEVEL',
    type: oneOf(...logLevels),
    default: 'info',
    help: 'Least severe level that is logged.',
  },
} as const satisfies Record<string, Option<unknown>>;

/** `BROKER_PORT` → `port`, since the command says what it is a port of. */
export function brokerFlagOf(option: { readonly env: string }): string {
  return option.env
    .replace(/^BROKER_/, '')
    .toLowerCase()
    .replaceAll('_', '-');
}
