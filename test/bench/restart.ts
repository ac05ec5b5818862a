import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/kafka/ports.ts';
import type { Bench, Measure } from './bench.ts';
import { type FilledTopic, filledTopic } from './bench-topic.ts';
import { askOnce } from './contender.ts';
import { javaStreams } from './java-replay.ts';
import type { Restarted, RestartTask } from './restart-contender.ts';
import { ratio } from './rounds.ts';

const loads = [
  { records: 1_000_000, rounds: 3 },
  { records: 10_000_000, rounds: 1 },
];
const quickLoads = [
  { records: 1_000_000, rounds: 1 },
  { records: 10_000_000, rounds: 1 },
];
const withinMs = 300_000;
const pieceBytes = 1024 * 1024;

interface Round {
  readonly replayed: Restarted;
  readonly resumed: Restarted;
  readonly snapshotBytes: number;
  readonly plainReadMs: number;
}

export const restart: Bench = {
  name: 'restart',
  about: 'a whole node until it serves, over a topic of records of 115 B: from the beginning, and from its snapshot',
  async run({ kafka, profileFolder, quick }) {
    const broker = await kafka();
    const program = await javaStreams();
    const measures: Measure[] = [];
    for (const { records, rounds: count } of quick ? quickLoads : loads) {
      const topic = await filledTopic(broker, program, { records, partitions: 1, codec: 'none' });
      const rounds: Round[] = [];
      for (let round = 0; round < count; round += 1) rounds.push(await roundOf(topic, profileFolder));
      measures.push(...measuresOf(records, rounds));
    }
    return measures;
  },
};

async function roundOf(topic: FilledTopic, profileFolder: string | undefined): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), 'bitacora-bench-restart-'));
  try {
    const environment = {
      BROKER_LIST: topic.brokerList,
      KAFKA_TOPIC: topic.topic,
      DATA_DIR: folder,
      // It names the snapshot too.
      NODENAME: '127.0.0.1',
      API_PORT: String(await freePort()),
      // None but the one at the end.
      SNAPSHOT_INTERVAL_MS: '86400000',
    };
    const run = async (resumes: boolean): Promise<Restarted> => {
      const task: RestartTask = { environment, records: topic.records, resumes };
      const restarted = await askOnce<Restarted>('restart-contender.ts', task, withinMs, profileFolder);
      if (restarted.digest !== topic.digest) throw new Error('the node has read other values');
      return restarted;
    };
    const replayed = await run(false);
    const [name] = await readdir(join(folder, 'snapshots'));
    const path = join(folder, 'snapshots', name!);
    const { size: snapshotBytes } = await stat(path);
    const plainReadMs = await readPlainly(path);
    return { replayed, resumed: await run(true), snapshotBytes, plainReadMs };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Every byte of the file, with nothing done to it: what the disk, or the system's memory of it, gives. */
async function readPlainly(path: string): Promise<number> {
  const piece = Buffer.alloc(pieceBytes);
  const startedMs = performance.now();
  const file = await open(path);
  try {
    while ((await file.read(piece, 0, pieceBytes)).bytesRead > 0);
  } finally {
    await file.close();
  }
  return performance.now() - startedMs;
}

function measuresOf(records: number, rounds: readonly Round[]): Measure[] {
  const size = `${records / 1_000_000} M`;
  const row = (what: string, unit: Measure['unit'], pick: (round: Round) => number): Measure => {
    return { what: `${size}: ${what}`, unit, rounds: rounds.map(pick) };
  };
  const replays = row('from the beginning', 'ms', ({ replayed }) => replayed.startMs);
  const resumes = row('from the snapshot', 'ms', ({ resumed }) => resumed.startMs);
  const reads = row('reading the snapshot plainly', 'ms', ({ plainReadMs }) => plainReadMs);
  const aim = records === 10_000_000 ? { atLeast: 10 } : undefined;
  return [
    replays,
    { ...resumes, point: { chart: 'replay', line: 'node, from its snapshot', keys: records } },
    row('from the beginning, until scans are answered', 'ms', ({ replayed }) => replayed.orderedMs),
    row('from the snapshot, until scans are answered', 'ms', ({ resumed }) => resumed.orderedMs),
    row('stopping, the snapshot written', 'ms', ({ replayed }) => replayed.stopMs),
    row('the snapshot', 'MB', ({ snapshotBytes }) => snapshotBytes / 1_000_000),
    reads,
    row('that, by the second', 'MB/s', ({ snapshotBytes, plainReadMs }) => snapshotBytes / 1_000 / plainReadMs),
    ratio(`${size}: from the beginning / from the snapshot`, replays.rounds, resumes.rounds, aim),
    ratio(`${size}: from the snapshot / reading it plainly`, resumes.rounds, reads.rounds),
  ];
}
