import { FatalError } from '../kernel/errors.ts';
import { SnapshotFault } from '../snapshot/snapshot-format.ts';
import { SnapshotReader } from '../snapshot/snapshot-reader.ts';
import { command, positionals } from './command.ts';
import { textTable } from './text-table.ts';

export const snapshotCommands = [
  command({
    path: ['snapshot', 'inspect'],
    summary: 'shows what a snapshot says of itself',
    positionals: positionals.one('FILE'),
    flags: { json: { help: 'Print one JSON document.' } },
    connects: false,
    notes: [
      'Only header, index and summary are read: snapshot verify looks at the rest. A node needs not be stopped for it.',
    ],
    examples: ['bitacora snapshot inspect data/snapshots/bitacora-127.0.0.1-8082.snapshot'],
    async run({ flags, positionals: [path = ''] }, { output }) {
      await withSnapshot(path, async (snapshot) => {
        const facts = factsOf(snapshot);
        if (flags.json) return output.json(facts);
        const { partitions, ...rest } = facts;
        const rows = partitions.map(({ partition, position, knownTo, leaderEpoch }) => [
          partition,
          position,
          knownTo,
          leaderEpoch,
        ]);
        await output.line(
          textTable(
            ['FIELD', 'VALUE'],
            Object.entries(rest).map(([name, value]) => [name, String(value)]),
          ),
        );
        await output.line('');
        await output.line(textTable(['PARTITION', 'READ ON FROM', 'KNOWN TO', 'LEADER EPOCH'], rows));
      });
    },
  }),
  command({
    path: ['snapshot', 'verify'],
    summary: 'checks every byte of a snapshot',
    positionals: positionals.one('FILE'),
    flags: {},
    connects: false,
    notes: [
      'The first fault is named with its byte in the file. Whether a topic is the one it is of, only a node can tell.',
    ],
    async run({ positionals: [path = ''] }, { output }) {
      await withSnapshot(path, async (snapshot) => {
        await snapshot.verify();
        const { entries, tombstones } = snapshot.summary;
        await output.line(
          `sound: ${entries - tombstones} values and ${tombstones} tombstones in ${snapshot.blocks} blocks, ${snapshot.bytes} bytes`,
        );
      });
    },
  }),
];

async function withSnapshot(path: string, use: (snapshot: SnapshotReader) => Promise<void>): Promise<void> {
  let snapshot: SnapshotReader | undefined;
  try {
    snapshot = await SnapshotReader.open(path);
    await use(snapshot);
  } catch (error) {
    const isOfTheFile = error instanceof SnapshotFault || (error as NodeJS.ErrnoException).syscall !== undefined;
    throw isOfTheFile ? new FatalError(`${path}: ${(error as Error).message}`, { cause: error }) : error;
  } finally {
    await snapshot?.close();
  }
}

/** All but the seed of the hashes: whoever has that can write keys that collide. */
function factsOf({ header, summary, bytes, blocks }: SnapshotReader) {
  const { topic, topicId, clusterId, partitioner, ordered, entryLayout, deleteRetentionMs } = header;
  const { entries, tombstones, keyBytes, valueBytes } = summary;
  return {
    topic,
    topicId,
    clusterId: clusterId ?? null,
    createdAt: timeText(header.createdAtMs),
    caughtUpAt: timeText(header.caughtUpAtMs),
    deleteRetentionMs,
    partitioner,
    ordered,
    entryLayout,
    values: entries - tombstones,
    tombstones,
    keyBytes,
    valueBytes,
    blocks,
    bytes,
    partitions: header.positions.map((position, partition) => ({
      partition,
      position,
      knownTo: summary.knownTo[partition]!,
      leaderEpoch: summary.leaderEpochs[partition]!,
    })),
  };
}

/** A number that is no time is shown as it stands. */
function timeText(ms: number): string {
  return ms <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
