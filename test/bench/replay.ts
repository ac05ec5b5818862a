import type { Bench, BenchContext, Measure, PlotPoint } from './bench.ts';
import { type FilledTopic, filledTopic } from './bench-topic.ts';
import { askOnce } from './contender.ts';
import { intoGlobalTable, intoHashMap, javaStreams, type TopicCodec, topicCodecs } from './java-replay.ts';
import type { ReaderName, Replayed, ReplayTask } from './replay-contender.ts';
import { alternate, ratio } from './rounds.ts';

const replayWithinMs = 300_000;

const javaReaders = ['Java client into a HashMap', 'Kafka Streams GlobalKTable'] as const;
type JavaReader = (typeof javaReaders)[number];
type Reader = ReaderName | JavaReader;

interface Load {
  readonly records: number;
  readonly partitions: number;
  readonly codec: TopicCodec;
  readonly rounds: number;
  readonly readers: readonly Reader[];
}

const [million, tenMillion] = [1_000_000, 10_000_000];
const all: readonly Reader[] = [
  'node',
  'node with kafkajs',
  'reader and store',
  'kafkajs into a Map',
  'kafkajs, counting',
  ...javaReaders,
];
const withAims: readonly Reader[] = ['node', 'reader and store', ...javaReaders];
const forCodecs: readonly Reader[] = ['node', 'node with kafkajs', 'Java client into a HashMap'];
const large: readonly Reader[] = ['node', 'node with kafkajs', ...javaReaders];

const loads: readonly Load[] = [
  { records: million, partitions: 1, codec: 'none', rounds: 5, readers: all },
  { records: million, partitions: 8, codec: 'none', rounds: 3, readers: withAims },
  ...[1, 8].flatMap((partitions) =>
    topicCodecs
      .filter((codec) => codec !== 'none')
      .map((codec) => ({ records: million, partitions, codec, rounds: 2, readers: forCodecs })),
  ),
  { records: tenMillion, partitions: 1, codec: 'none', rounds: 1, readers: large },
  { records: tenMillion, partitions: 8, codec: 'none', rounds: 1, readers: withAims },
];
const quickLoads: readonly Load[] = [
  { records: million, partitions: 1, codec: 'none', rounds: 3, readers: [...withAims, 'node with kafkajs'] },
  { records: million, partitions: 8, codec: 'none', rounds: 1, readers: withAims },
  ...topicCodecs
    .filter((codec) => codec !== 'none')
    .map((codec) => ({ records: million, partitions: 1, codec, rounds: 1, readers: forCodecs })),
  { records: tenMillion, partitions: 1, codec: 'none', rounds: 1, readers: ['node', ...javaReaders] },
];

export const replay: Bench = {
  name: 'replay',
  about: 'topics of records of 115 B on a real Kafka, read into memory, each time by a fresh process',
  async run(context) {
    const kafka = await context.kafka();
    const program = await javaStreams();
    const measures: Measure[] = [];
    for (const load of context.quick ? quickLoads : loads) {
      const topic = await filledTopic(kafka, program, load);
      const runs = Object.fromEntries(load.readers.map((reader) => [reader, () => roundOf(context, reader, topic)]));
      measures.push(...measuresOf(load, await alternate(load.rounds, runs)));
    }
    return measures;
  },
};

interface Round {
  readonly perSecond: number;
  /** Of Java's heap, by which its readers are told of; see the store bench for the node's memory. */
  readonly heapBytesPerKey: number | undefined;
}

function measuresOf({ records, partitions, codec }: Load, results: Readonly<Record<string, Round[]>>): Measure[] {
  const size = `${records / million} M, ${partitions} ${partitions === 1 ? 'partition' : 'partitions'}`;
  const name = codec === 'none' ? size : `${size}, ${codec}`;
  const isPlotted = partitions === 1 && codec === 'none';
  const pointed = (chart: PlotPoint['chart'], line: string) =>
    isPlotted ? { point: { chart, line, keys: records } } : undefined;
  const figures = Object.entries(results).map(([reader, rounds]): Measure => {
    const speeds = rounds.map(({ perSecond }) => perSecond);
    return { what: `${name}: ${reader}`, unit: 'per second', rounds: speeds, ...pointed('replay', reader) };
  });
  const heaps = Object.entries(results).flatMap(([reader, rounds]): Measure[] => {
    const bytes = rounds.flatMap(({ heapBytesPerKey }) => heapBytesPerKey ?? []);
    if (bytes.length === 0) return [];
    const what = `${name}: ${reader}, heap a key`;
    return [{ what, unit: 'bytes', rounds: bytes, ...pointed('memory', `${reader}, heap`) }];
  });
  const compared = (above: Reader, below: Reader, atLeast?: number): Measure[] => {
    const [upper, lower] = [results[above], results[below]];
    if (upper === undefined || lower === undefined) return [];
    // The aims are for a million records.
    const aim = atLeast !== undefined && isPlotted && records === million ? { atLeast } : undefined;
    const speeds = (all: readonly Round[]) => all.map(({ perSecond }) => perSecond);
    return [ratio(`${name}: ${above} / ${below}`, speeds(upper), speeds(lower), aim)];
  };
  return [
    ...figures,
    ...heaps,
    ...compared('reader and store', 'Java client into a HashMap', 1.4),
    ...compared('node', 'Java client into a HashMap'),
    ...compared('node', 'Kafka Streams GlobalKTable', 2),
    ...compared('node', 'node with kafkajs'),
    ...compared('node', 'kafkajs into a Map'),
  ];
}

/** One reader, in a process that has done nothing before, as a node that starts. */
async function roundOf({ profileFolder }: BenchContext, reader: Reader, topic: FilledTopic): Promise<Round> {
  const { elapsedMs, digest, heapBytes } = await replayed(reader, topic, profileFolder);
  if (digest !== undefined && digest !== topic.digest) throw new Error(`${reader} has read other values`);
  return {
    perSecond: (topic.records * 1_000) / elapsedMs,
    heapBytesPerKey: heapBytes === undefined ? undefined : heapBytes / topic.records,
  };
}

async function replayed(
  reader: Reader,
  topic: FilledTopic,
  profileFolder: string | undefined,
): Promise<Replayed & { readonly heapBytes?: number }> {
  switch (reader) {
    case 'Java client into a HashMap':
      return intoHashMap(await javaStreams(), topic);
    case 'Kafka Streams GlobalKTable':
      return intoGlobalTable(await javaStreams(), topic);
    default: {
      const { brokerList, topic: name, partitions, records } = topic;
      const task: ReplayTask = { reader, brokerList, topic: name, partitions, records };
      return askOnce<Replayed>('replay-contender.ts', task, replayWithinMs, profileFolder);
    }
  }
}
