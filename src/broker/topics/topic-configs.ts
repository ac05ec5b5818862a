import { KafkaError } from '../../protocol/errors.ts';
import type { LogConfig } from '../storage/partition-log.ts';

type Kind = 'boolean' | 'int' | 'long' | 'double' | 'string' | 'list';

interface TopicConfig {
  readonly kind: Kind;
  readonly default: string;
  /** Least value of a number. */
  readonly least?: number;
  readonly choices?: readonly string[];
  readonly about: string;
}

const hourMs = 3_600_000;

/** The settings of a topic that exist, by Kafka's names and with Kafka's defaults (https://kafka.apache.org/documentation/#topicconfigs). */
export const topicConfigs = {
  'cleanup.policy': { kind: 'list', default: 'delete', choices: ['compact', 'delete'], about: 'How old records go.' },
  'compression.type': {
    kind: 'string',
    default: 'producer',
    choices: ['producer'],
    about: 'Batches are kept as their producer compressed them.',
  },
  'delete.retention.ms': { kind: 'long', default: String(24 * hourMs), least: 0, about: 'How long tombstones stay.' },
  'flush.messages': {
    kind: 'long',
    default: '9223372036854775807',
    least: 1,
    about: 'Records after which data is forced to disk.',
  },
  'index.interval.bytes': { kind: 'int', default: '4096', least: 0, about: 'Bytes between two index entries.' },
  'max.message.bytes': { kind: 'int', default: '1048588', least: 0, about: 'Largest batch.' },
  'message.timestamp.type': {
    kind: 'string',
    default: 'CreateTime',
    choices: ['CreateTime', 'LogAppendTime'],
    about: 'Whose clock stamps a record.',
  },
  'min.cleanable.dirty.ratio': {
    kind: 'double',
    default: '0.5',
    least: 0,
    about: 'How much must be new before compaction.',
  },
  'min.compaction.lag.ms': { kind: 'long', default: '0', least: 0, about: 'How long a record stays untouched.' },
  'max.compaction.lag.ms': {
    kind: 'long',
    default: '9223372036854775807',
    least: 1,
    about: 'How long a record may stay uncompacted.',
  },
  'min.insync.replicas': {
    kind: 'int',
    default: '1',
    least: 1,
    about: 'Replicas that must have a record. There is one.',
  },
  'retention.bytes': { kind: 'long', default: '-1', least: -1, about: 'Bytes of a partition that are kept; -1: all.' },
  'retention.ms': {
    kind: 'long',
    default: String(7 * 24 * hourMs),
    least: -1,
    about: 'How long records are kept; -1: for ever.',
  },
  'segment.bytes': { kind: 'int', default: String(1024 ** 3), least: 14, about: 'Size of a segment file.' },
  'segment.ms': {
    kind: 'long',
    default: String(7 * 24 * hourMs),
    least: 1,
    about: 'Age at which a segment file is closed.',
  },
} as const satisfies Record<string, TopicConfig>;

export type TopicConfigName = keyof typeof topicConfigs;
/** Settings that a topic has of its own; all others have their defaults. */
export type TopicOverrides = Readonly<Partial<Record<TopicConfigName, string>>>;

const table: Readonly<Record<string, TopicConfig>> = topicConfigs;

/** Throws a `KafkaError` INVALID_CONFIG for a name that does not exist or a value that cannot be used. */
export function checkTopicConfig(name: string, value: string): TopicConfigName {
  // A name of what every object has, such as constructor, is no setting either.
  const config = Object.hasOwn(table, name) ? table[name] : undefined;
  if (config === undefined) throw new KafkaError('INVALID_CONFIG', `Unknown topic config name: ${name}`);
  const expected = complaintAbout(config, value);
  if (expected !== undefined) {
    throw new KafkaError('INVALID_CONFIG', `Invalid value ${value} for configuration ${name}: expected ${expected}`);
  }
  return name as TopicConfigName;
}

function complaintAbout({ kind, least, choices }: TopicConfig, value: string): string | undefined {
  if (choices !== undefined) {
    const parts = kind === 'list' ? value.split(',').map((part) => part.trim()) : [value];
    return parts.every((part) => choices.includes(part)) ? undefined : `one of ${choices.join(', ')}`;
  }
  const isNumber = kind === 'double' ? /^\d+(\.\d+)?$/.test(value) : /^-?\d{1,19}$/.test(value);
  if (!isNumber) return `a number (${kind})`;
  if (kind === 'int' && Number(value) > 0x7fff_ffff) return 'at most 2147483647';
  return Number(value) < least! ? `at least ${least}` : undefined;
}

export function topicConfigValue(overrides: TopicOverrides, name: TopicConfigName): string {
  return overrides[name] ?? topicConfigs[name].default;
}

/** The same, as the storage wants them. */
export function logConfigOf(overrides: TopicOverrides): LogConfig {
  const text = (name: TopicConfigName) => topicConfigValue(overrides, name);
  const number = (name: TopicConfigName) => Math.min(Number(text(name)), Number.MAX_SAFE_INTEGER);
  const policies = text('cleanup.policy')
    .split(',')
    .map((part) => part.trim());
  return {
    segmentBytes: number('segment.bytes'),
    segmentMs: number('segment.ms'),
    retentionMs: number('retention.ms'),
    retentionBytes: number('retention.bytes'),
    maxMessageBytes: number('max.message.bytes'),
    cleanupPolicy: { compact: policies.includes('compact'), delete: policies.includes('delete') },
    deleteRetentionMs: number('delete.retention.ms'),
    minCompactionLagMs: number('min.compaction.lag.ms'),
    maxCompactionLagMs: number('max.compaction.lag.ms'),
    minCleanableDirtyRatio: number('min.cleanable.dirty.ratio'),
    messageTimestampType: text('message.timestamp.type') as LogConfig['messageTimestampType'],
    indexIntervalBytes: number('index.interval.bytes'),
  };
}

/** The settings that a request gives to a new topic; null stands for the default. Throws a `KafkaError` INVALID_CONFIG. */
export function overridesOf(configs: ReadonlyArray<{ name: string; value: string | null }>): TopicOverrides {
  const overrides: Partial<Record<TopicConfigName, string>> = {};
  for (const { name, value } of configs) {
    const known = checkTopicConfig(name, value ?? topicConfigs[name as TopicConfigName]?.default ?? '');
    if (value !== null) overrides[known] = value;
  }
  return overrides;
}
