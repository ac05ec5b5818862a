import { crc32c } from '@node-rs/crc32';
import type { Message } from '../../../src/protocol/schema.ts';
import { goldenBatches, goldenFrames } from '../protocol/golden.ts';
import { mutated, type Random } from '../protocol/mutations.ts';
import { sampleValue } from '../protocol/sample-values.ts';
import { isRequest, type Shape, shapesOf, versionsOf } from '../protocol/served.ts';
import { requestFrame } from './wire-client.ts';

/** What is there for frames to name, so that mutations of them get further than to an error for unknown names. */
export interface LiveNames {
  readonly topic: string;
  readonly topicId: string;
  /** Made, changed and deleted again and again. */
  readonly passingTopic: string;
  readonly groupId: string;
  readonly transactionalId: string;
}

/** Makes a frame that is not quite what it should be. */
export type FuzzSource = (random: Random) => Buffer;

/** Requests that would take away what the others name. */
const onPassingTopic = [
  'AlterConfigsRequest',
  'CreateTopicsRequest',
  'DeleteRecordsRequest',
  'DeleteTopicsRequest',
  'IncrementalAlterConfigsRequest',
];
const crcAt = 17;
const attributesAt = 21;
const batchLengthAt = 8;
const lengthCountsFrom = 12;

/** Of Kafka's own frames, of frames that name what is there, and of record batches that are mutated with a CRC that is right. */
export function fuzzSources(live: readonly LiveNames[]): FuzzSource[] {
  const golden = goldenFrames().filter(({ message }) => isRequest(message));
  const messages = [...new Set(golden.map(({ message }) => message))];
  return [...golden.map(({ frame }) => mutation(frame)), ...live.flatMap((names) => liveSources(messages, names))];
}

const mutation =
  (frame: Buffer): FuzzSource =>
  (random) =>
    mutated(frame, random);

function liveSources(messages: readonly Message[], names: LiveNames): FuzzSource[] {
  const batches = [...goldenBatches().values()].map(asFromProducer);
  return messages.flatMap((message) =>
    versionsOf(message).flatMap((version) => {
      const frameWith = (records: Buffer) => liveFrame(message, version, { ...names, records });
      const odd: FuzzSource = (random) =>
        liveFrame(message, version, { ...names, records: random.pick(batches) }, random);
      if (message.name !== 'ProduceRequest') return [mutation(frameWith(Buffer.alloc(0))), odd];
      return batches.flatMap((batch) => [
        mutation(frameWith(batch)),
        (random: Random) => frameWith(resealed(batch, random)),
        odd,
      ]);
    }),
  );
}

/** As a producer sends it. The CRC does not cover the base offset. */
function asFromProducer(batch: Buffer): Buffer {
  const copy = Buffer.from(batch);
  copy.writeBigInt64BE(0n, 0);
  return copy;
}

/** A batch that only a look at its fields and records can tell from a sound one. */
function resealed(batch: Buffer, random: Random): Buffer {
  const changed = Buffer.concat([batch.subarray(0, attributesAt), mutated(batch.subarray(attributesAt), random)]);
  changed.writeInt32BE(changed.length - lengthCountsFrom, batchLengthAt);
  changed.writeUInt32BE(crc32c(changed.subarray(attributesAt)), crcAt);
  return changed;
}

type Filling = LiveNames & { readonly records: Buffer };

/** `random`: some fields have another value instead, which a client can send but none should. */
function liveFrame(message: Message, version: number, filling: Filling, random?: Random): Buffer {
  const shapes = shapesOf(message, version);
  const topic = onPassingTopic.includes(message.name) ? filling.passingTopic : filling.topic;
  const known = knownFields({ ...filling, topic });
  const value = filled(shapes, sampleValue(shapes, 'full'), { known, random });
  return requestFrame(message, value as never, { version });
}

/** Values by the name of their field, whatever the message: what is there, and waits that are short. */
function knownFields({
  topic,
  topicId,
  groupId,
  transactionalId,
  records,
}: Filling): Readonly<Record<string, unknown>> {
  return {
    name: topic,
    topic,
    topicName: topic,
    topicNames: [topic],
    topicId,
    resourceName: topic,
    resourceType: 2,
    configOperation: 0,
    configurationKeys: null,
    groupId,
    groups: [groupId],
    groupsNames: [groupId],
    key: groupId,
    coordinatorKeys: [groupId],
    keyType: 0,
    memberId: '',
    groupInstanceId: null,
    generationId: -1,
    generationIdOrMemberEpoch: -1,
    protocolType: 'consumer',
    sessionTimeoutMs: 6_000,
    rebalanceTimeoutMs: 100,
    transactionalId,
    transactionalIds: [transactionalId],
    transactionTimeoutMs: 10_000,
    transactionalIdPattern: '.*',
    producerId: 0,
    producerEpoch: 0,
    records,
    acks: -1,
    replicaId: -1,
    sessionId: 0,
    partition: 0,
    partitionIndex: 0,
    partitionIndexes: [0],
    index: 0,
    fetchOffset: 0,
    offset: 0,
    timestamp: -1,
    minBytes: 1,
    maxBytes: 100_000,
    partitionMaxBytes: 100_000,
    maxWaitMs: 0,
    timeoutMs: 100,
    leaderEpoch: -1,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    numPartitions: 1,
    replicationFactor: -1,
    count: 2,
    assignments: null,
    validateOnly: false,
  };
}

const configEntry = { name: 'retention.ms', value: '60000', configOperation: 0 };

/** Of so many fields one is odd. */
const oddEvery = 8;
const oddInts = [-1, -2, 0, 1, 2, 3, 127, -128];
const oddInt32s = [...oddInts, 1_000, 32_767, 100_000, 0x7fff_ffff, -0x8000_0000];
const oddInt64s = [...oddInt32s, 2 ** 32, 1_700_000_000_000, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER];
const oddTexts = [
  '',
  '.',
  '..',
  '../up',
  '/',
  '\u0000',
  'ñ',
  '.*',
  '__consumer_offsets',
  '__transaction_state',
  'x'.repeat(300),
];

interface Fill {
  readonly known: Readonly<Record<string, unknown>>;
  readonly random: Random | undefined;
}

function filled(
  shapes: readonly Shape[],
  value: Readonly<Record<string, unknown>>,
  fill: Fill,
): Record<string, unknown> {
  const { known, random } = fill;
  const field = (shape: Shape): unknown => {
    const { name, type, nullable, fields } = shape;
    const given = value[name];
    const fixed = known[name];
    const isStructure = type === 'struct' || type === '[]struct';
    if (random?.below(oddEvery) === 0) {
      if (nullable) return null;
      if (!isStructure) return oddValue(type, random, given);
    }
    if (fixed !== undefined && !isStructure && type.startsWith('[]') === Array.isArray(fixed)) return fixed;
    if (name === 'assignments') return nullable ? null : [];
    if (type === '[]struct') {
      const inner = name === 'configs' ? { ...known, ...configEntry } : known;
      const count = random?.below(oddEvery) === 0 ? random.below(4) : 1;
      const sample = (given as Record<string, unknown>[])[0]!;
      return Array.from({ length: count }, () => filled(fields, sample, { known: inner, random }));
    }
    if (type === 'struct') return filled(fields, given as Record<string, unknown>, fill);
    return type === '[]int32' ? [0] : given;
  };
  return Object.fromEntries(shapes.map((shape) => [shape.name, field(shape)]));
}

function oddValue(type: string, random: Random, given: unknown): unknown {
  switch (type) {
    case 'bool':
      return random.below(2) === 0;
    case 'int8':
      return random.pick(oddInts);
    case 'int16':
      return random.pick([...oddInts, 32_767, -32_768]);
    case 'int32':
      return random.pick(oddInt32s);
    case 'int64':
      return random.pick(oddInt64s);
    case 'string':
      return random.pick(oddTexts);
    case 'bytes':
    case 'records':
      return Buffer.alloc(random.below(70), random.below(256));
    default:
      return type.startsWith('[]')
        ? Array.from({ length: random.below(4) }, () => oddValue(type.slice(2), random, undefined))
        : given;
  }
}
