import { logLevels } from '../kernel/logger.ts';
import { embeddedBrokerOptions } from './broker-options.ts';
import {
  boolean,
  filePath,
  host,
  hostPortList,
  integer,
  type Option,
  oneOf,
  text,
  zookeeperConnect,
} from './option-types.ts';

/** Every option of the program: the one place from which the typed config, --help and docs/CONFIGURATION.md come. */
export const options = {
  brokerList: {
    env: 'BROKER_LIST',
    type: hostPortList,
    defaultNote: 'the broker at localhost, or one that this node starts there',
    help: 'Kafka brokers to start from. Unset: what answers on BROKER_PORT of this machine, else the embedded broker is started there.',
  },
  ...embeddedBrokerOptions,
  kafkaTopic: {
    env: 'KAFKA_TOPIC',
    type: text(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,241}$/, 'Kafka topic name: 1 to 241 of A-Z a-z 0-9 . _ -'),
    default: 'bitacora',
    help: 'The compacted topic that is the database. Created when it does not exist. Nodes that find each other by neither PEERS nor ZOOKEEPER_HOST do so through a second one, named the same with -members at its end.',
  },
  kafkaPartitions: {
    env: 'KAFKA_PARTITIONS',
    type: integer(1, 1024),
    default: '1',
    help: 'Partitions of the topic when this node creates it. Not looked at for a topic that exists.',
  },
  kafkaSsl: {
    env: 'KAFKA_SSL',
    type: boolean,
    default: 'false',
    help: 'Speak TLS to Kafka. The certificate authorities of Node.js are trusted unless KAFKA_SSL_CA_FILE names others.',
  },
  kafkaSslCaFile: {
    env: 'KAFKA_SSL_CA_FILE',
    type: filePath,
    help: 'PEM file with the certificate authorities to trust.',
  },
  kafkaSslCertFile: {
    env: 'KAFKA_SSL_CERT_FILE',
    type: filePath,
    help: 'PEM file with this client’s certificate (mTLS).',
  },
  kafkaSslKeyFile: { env: 'KAFKA_SSL_KEY_FILE', type: filePath, help: 'PEM file with the key of that certificate.' },
  kafkaSaslMechanism: {
    env: 'KAFKA_SASL_MECHANISM',
    type: oneOf('plain', 'scram-sha-256', 'scram-sha-512'),
    help: 'Log in to Kafka this way, with KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD.',
  },
  kafkaSaslUsername: { env: 'KAFKA_SASL_USERNAME', type: text(/^.+$/s, 'non-empty text'), help: 'SASL user.' },
  kafkaSaslPassword: {
    env: 'KAFKA_SASL_PASSWORD',
    type: text(/^.+$/s, 'non-empty text'),
    help: 'SASL password.',
    secret: true,
  },
  apiPort: { env: 'API_PORT', type: integer(1, 65535), default: '8082', help: 'Port of the HTTP API.' },
  apiHost: {
    env: 'API_HOST',
    type: host,
    default: '127.0.0.1',
    help: 'Address the HTTP API listens on. One that other machines can reach needs ALLOW_ANONYMOUS=true.',
  },
  avroPort: {
    env: 'AVRO_PORT',
    type: integer(1, 65535),
    defaultNote: 'API_PORT + 100',
    help: 'Port of the Avro socket, for binary clients. It listens on API_HOST too.',
  },
  allowAnonymous: {
    env: 'ALLOW_ANONYMOUS',
    type: boolean,
    default: 'false',
    help: 'Say that whoever can reach API_HOST may read and write: there is no authentication yet.',
  },
  nodename: {
    env: 'NODENAME',
    type: host,
    defaultNote: 'API_HOST; the host name when that is a wildcard address',
    help: 'Host name or address under which other nodes reach this one. With API_PORT it names the node.',
  },
  zookeeperHost: {
    env: 'ZOOKEEPER_HOST',
    type: zookeeperConnect,
    help: 'ZooKeeper servers in which nodes find each other, with an optional chroot. Unset: nodes find each other through a topic beside KAFKA_TOPIC, or by PEERS.',
  },
  peers: {
    env: 'PEERS',
    type: hostPortList,
    help: 'The nodes of the cluster, instead of any way to find them. The same list serves every node.',
  },
  missLookup: {
    env: 'MISS_LOOKUP',
    type: oneOf('always', 'behind', 'never'),
    default: 'always',
    help: 'When a key that this node has not got is looked up at the other nodes; behind: only while it has not caught up.',
  },
  peerTimeoutMs: {
    env: 'PEER_TIMEOUT_MS',
    type: integer(10, 60_000),
    default: '250',
    help: 'How long a look-up at other nodes may take.',
  },
  partitioner: {
    env: 'PARTITIONER',
    type: oneOf('murmur2', 'crc32'),
    default: 'murmur2',
    help: 'How a key finds its partition: murmur2 as Java clients and kafkajs do, crc32 as librdkafka does.',
  },
  orderedIndex: {
    env: 'ORDERED_INDEX',
    type: oneOf('on', 'off'),
    default: 'on',
    help: 'Keep the keys in order, which scans need. Off saves about 17 bytes a key.',
  },
  logReader: {
    env: 'LOG_READER',
    type: oneOf('direct', 'kafkajs'),
    default: 'direct',
    help: 'What reads the topic: the node’s own reader, or that of kafkajs, which also reads records of formats before Kafka 0.11, and without which no snapshot is resumed from.',
  },
  snapshotIntervalMs: {
    env: 'SNAPSHOT_INTERVAL_MS',
    type: integer(0, 86_400_000),
    default: '300000',
    help: 'How often a snapshot of the memory is written below DATA_DIR, from which the node starts again without reading the whole topic; one more is written at shutdown. 0: none.',
  },
  valueBytesMax: {
    env: 'VALUE_BYTES_MAX',
    type: integer(1, 64 * 1024 * 1024),
    default: '1048576',
    help: 'Largest value taken, in bytes. A topic that exists must allow it in max.message.bytes.',
  },
  writeTimeoutMs: {
    env: 'WRITE_TIMEOUT_MS',
    type: integer(100, 300_000),
    default: '10000',
    help: 'How long a write may take before it is answered 503 (never sent) or 504 (outcome unknown).',
  },
  readTimeoutMs: {
    env: 'READ_TIMEOUT_MS',
    type: integer(10, 300_000),
    default: '5000',
    help: 'How long a session or linearizable read may wait for this node to reach the position it needs.',
  },
  readyLagMaxMs: {
    env: 'READY_LAG_MAX_MS',
    type: integer(1_000, 3_600_000),
    default: '30000',
    help: 'A node that lags further behind the log than this, in time, says that it is not ready.',
  },
  logLevel: {
    env: 'LOG_LEVEL',
    type: oneOf(...logLevels),
    default: 'info',
    help: 'Least severe level that is logged.',
  },
} as const satisfies Record<string, Option<unknown>>;

export type OptionName = keyof typeof options;

/** `API_PORT` → `api-port`. */
export function flagOf(option: { readonly env: string }): string {
  return option.env.toLowerCase().replaceAll('_', '-');
}
