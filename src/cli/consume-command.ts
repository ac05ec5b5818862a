import { integer, oneOf } from '../config/option-types.ts';
import { command, positionals } from './command.ts';
import { type FlagValues, UsageError } from './flags.ts';
import { readRecords, type Start } from './kafka/record-reader.ts';
import { formatRecords, outputFormats } from './record-format.ts';
import { anyText, nonEmptyText, partitionId, separator, startOffset } from './value-types.ts';

const flags = {
  fromBeginning: { help: 'Start at the first record there is instead of at the end.' },
  offset: {
    type: startOffset,
    placeholder: 'N|-N',
    short: 'o',
    help: 'Start at this offset of each partition; -N starts N offsets before its end.',
  },
  partition: { type: partitionId, placeholder: 'N', short: 'p', help: 'Read this partition only.' },
  group: {
    type: nonEmptyText,
    placeholder: 'NAME',
    short: 'g',
    help: 'Read as a member of this consumer group: go on from its offsets, and commit what was printed.',
  },
  maxMessages: {
    type: integer(1, Number.MAX_SAFE_INTEGER),
    placeholder: 'N',
    short: 'n',
    help: 'End after so many records.',
  },
  exit: {
    help: 'End where the partitions ended, for a reader of committed records, when the command started.',
    short: 'e',
  },
  format: {
    type: oneOf(...outputFormats),
    placeholder: outputFormats.join('|'),
    default: 'value',
    help: 'What is printed of a record, each on a line of its own.',
  },
  keySeparator: {
    type: separator,
    placeholder: 'TEXT',
    short: 'K',
    default: '\\t',
    help: 'Between key and value; \\t is a tab.',
  },
  nullValue: {
    type: anyText,
    placeholder: 'TEXT',
    default: '',
    help: 'Printed for a value, or a key, that is null, as in a tombstone. Nothing if left out.',
  },
  isolation: {
    type: oneOf('read_committed', 'read_uncommitted'),
    placeholder: 'read_committed|read_uncommitted',
    default: 'read_committed',
    help: 'Whether records of transactions that are open or were aborted are printed.',
  },
} as const;

export const consumeCommand = command({
  path: ['consume'],
  summary: 'prints the records of topics',
  positionals: positionals.many('TOPIC'),
  flags,
  notes: [
    'Reads on for new records until Ctrl-C, unless --exit or --max-messages says when to end. Without --group it commits nothing and ' +
      'leaves no group behind.',
    'In JSON text is a string, null is no key or a tombstone, and bytes that are not UTF-8 are {"base64": "..."}.',
  ],
  examples: [
    'bitacora consume prices --from-beginning --exit --format key-value',
    'bitacora consume prices --offset -10 --format json',
    'bitacora consume orders --group billing --max-messages 100',
  ],
  async run({ flags, positionals: topics, connection }, { output, interrupted }) {
    const start = startOf(flags);
    const repeated = topics.find((topic, i) => topics.indexOf(topic) !== i);
    if (repeated !== undefined) throw new UsageError(`topic ${repeated} is named twice`);
    const { group, partition, format, keySeparator, nullValue } = flags;
    const request = {
      topics,
      group,
      start,
      partition,
      recordsMax: flags.maxMessages,
      stopsAtEnd: flags.exit,
      readUncommitted: flags.isolation === 'read_uncommitted',
    };
    const signal = AbortSignal.any([interrupted(), output.closed]);
    await readRecords(
      connection,
      request,
      (records) => output.write(formatRecords(records, { format, keySeparator, nullValue })),
      signal,
    );
  },
});

function startOf({ fromBeginning, offset, partition, group }: FlagValues<typeof flags>): Start {
  if (fromBeginning && offset !== undefined) throw new UsageError('--from-beginning and --offset: expected one');
  if (group !== undefined && offset !== undefined) {
    throw new UsageError('--offset means nothing with --group: bitacora groups reset-offsets moves a group');
  }
  if (group !== undefined && partition !== undefined) {
    throw new UsageError('--partition means nothing with --group, which hands out partitions itself');
  }
  if (fromBeginning) return { kind: 'beginning' };
  if (offset === undefined) return { kind: 'end' };
  return offset < 0 ? { kind: 'back', records: -offset } : { kind: 'offset', offset };
}
