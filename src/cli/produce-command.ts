import { oneOf } from '../config/option-types.ts';
import { options } from '../config/options.ts';
import { FatalError } from '../kernel/errors.ts';
import { type CliContext, command, positionals } from './command.ts';
import { type FlagValues, UsageError } from './flags.ts';
import { compressions } from './kafka/compression.ts';
import { RecordWriter } from './kafka/record-writer.ts';
import { type LineRules, LineSplitter, recordReader, wholeRecord } from './record-input.ts';
import { anyText, nameValue, partitionId, separator } from './value-types.ts';

/** As large as a value may be that the node takes (VALUE_BYTES_MAX). */
const lineBytesMax = 64 * 1024 * 1024;

const flags = {
  format: {
    type: oneOf('line', 'json'),
    placeholder: 'line|json',
    default: 'line',
    help: 'What a line is: a value (with --key-separator a key and a value), or a JSON object with key, value, headers, partition and timestamp.',
  },
  keySeparator: { type: separator, placeholder: 'TEXT', short: 'K', help: 'Ends the key in a line; \\t is a tab.' },
  key: { type: anyText, placeholder: 'TEXT', short: 'k', help: 'The key of every record.' },
  header: { type: nameValue, placeholder: 'NAME=VALUE', short: 'H', help: 'A header of every record.', many: true },
  partition: { type: partitionId, placeholder: 'N', short: 'p', help: 'Write to this partition, whatever the key.' },
  nullValue: { type: anyText, placeholder: 'TEXT', help: 'A value of exactly this text becomes a tombstone.' },
  whole: { help: 'The whole input is one record’s value, whatever bytes it holds.' },
  compression: {
    type: oneOf(...compressions),
    placeholder: compressions.join('|'),
    default: 'none',
    help: 'How batches are compressed.',
  },
  partitioner: {
    type: options.partitioner.type,
    placeholder: 'murmur2|crc32',
    default: options.partitioner.default,
    help: options.partitioner.help,
  },
} as const;

export const produceCommand = command({
  path: ['produce'],
  summary: 'writes records from standard input to a topic',
  positionals: positionals.one('TOPIC'),
  flags,
  notes: [
    'Every record is acknowledged by all in-sync replicas before the command ends with exit code 0. If it fails, records that were ' +
      'read before may have been written.',
    'In JSON a string is text, null is a tombstone or no key, and {"base64": "..."} is bytes. What `bitacora consume --format json` ' +
      'prints is taken as it is; its topic and offset are passed over.',
  ],
  examples: [
    "printf 'city=Sevilla\\n' | bitacora produce places -K =",
    'bitacora produce photos --key cat --whole < cat.jpg',
    'bitacora consume a --from-beginning --exit --format json | bitacora produce b --format json',
  ],
  async run({ flags, positionals: [topic = ''], connection }, context) {
    const rules = lineRules(flags);
    const { partitioner, compression } = flags;
    const writer = await RecordWriter.open({ connection, topic, partitioner, compression });
    try {
      await produceAll(writer, rules, flags.whole, context);
      await writer.finish();
    } catch (error) {
      await writer.close();
      if (error instanceof FatalError) throw new FatalError(`${error.message} (${writer.written} written)`);
      throw error;
    }
    await writer.close();
    context.note(`${writer.written} ${writer.written === 1 ? 'record' : 'records'} written to ${topic}`);
  },
});

function lineRules(values: FlagValues<typeof flags>): LineRules {
  const { format, keySeparator, key, header: headers, partition, nullValue, whole } = values;
  const aboutLines = { '--key-separator': keySeparator, '--null-value': nullValue };
  const aboutRecords = { '--key': key, '--partition': partition, '--header': headers[0] };
  const refuse = (flag: string, those: Record<string, unknown>): void => {
    const found = Object.entries(those).find(([, value]) => value !== undefined);
    if (found !== undefined) throw new UsageError(`${found[0]} means nothing with ${flag}`);
  };
  if (format === 'json') refuse('--format json', { ...aboutLines, ...aboutRecords, '--whole': whole || undefined });
  if (whole) refuse('--whole', aboutLines);
  if (key !== undefined && keySeparator !== undefined) throw new UsageError('--key and --key-separator: expected one');
  return { format, keySeparator, key, headers, partition, nullValue };
}

async function produceAll(writer: RecordWriter, rules: LineRules, whole: boolean, context: CliContext): Promise<void> {
  const interrupted = context.interrupted();
  // Reading may hang for as long as nobody types.
  const stop = (): void => void context.stdin.destroy(new FatalError('interrupted before the end of the input'));
  interrupted.addEventListener('abort', stop, { once: true });
  const splitter = new LineSplitter(lineBytesMax);
  const toRecords = recordReader(rules);
  const add = ({ before, lines }: { before: number; lines: Buffer[] }): Promise<void> =>
    writer.add(toRecords(lines, before));
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of context.stdin as AsyncIterable<Buffer>) {
    if (!whole) await add(splitter.push(chunk));
    else {
      bytes += chunk.length;
      if (bytes > lineBytesMax) throw new FatalError(`the input is longer than ${lineBytesMax} bytes`);
      parts.push(chunk);
    }
  }
  if (whole) await writer.add([wholeRecord(Buffer.concat(parts), rules)]);
  else await add(splitter.finish());
}
