import { type LoggedRecord, recordToJson } from './record-json.ts';

export const outputFormats = ['value', 'key-value', 'json'] as const;
export type OutputFormat = (typeof outputFormats)[number];

export interface FormatOptions {
  readonly format: OutputFormat;
  readonly keySeparator: string;
  /** What stands for a value, or a key, that is null. */
  readonly nullValue: string;
}

const lineEnd = Buffer.from('\n');

/** Lines of output; the bytes of keys and values as they are, save in JSON. */
export function formatRecords(records: readonly LoggedRecord[], options: FormatOptions): Buffer {
  if (options.format === 'json') return Buffer.from(`${records.map(recordToJson).join('\n')}\n`);
  const separator = Buffer.from(options.keySeparator);
  const nothing = Buffer.from(options.nullValue);
  const parts: Buffer[] = [];
  for (const { key, value } of records) {
    if (options.format === 'key-value') parts.push(key ?? nothing, separator);
    parts.push(value ?? nothing, lineEnd);
  }
  return Buffer.concat(parts);
}
