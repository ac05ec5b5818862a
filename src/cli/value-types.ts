import { ExpectationError, integer, type OptionType, text } from '../config/option-types.ts';

/** Partition ids and record counts are int32 on the wire. */
export const int32Max = 2 ** 31 - 1;

export const partitionId = integer(0, int32Max);
export const anyText = text(/^.*$/s, 'text');
export const nonEmptyText = text(/^.+$/s, 'non-empty text');

/** `name=value`; the value may be empty and may hold further `=`. */
export const nameValue: OptionType<readonly [name: string, value: string]> = {
  label: 'name=value',
  parse: (value) => {
    const at = value.indexOf('=');
    if (at < 1) throw new ExpectationError('name=value');
    return [value.slice(0, at), value.slice(at + 1)];
  },
};

/** Bytes between a key and a value. A shell makes a tab hard to write, so `\t` is one. */
export const separator: OptionType<string> = {
  label: 'non-empty text, \\t for a tab',
  parse: (value) => {
    if (value === '') throw new ExpectationError(separator.label);
    return value.replaceAll('\\t', '\t');
  },
};

/** A topic, and which of its partitions; undefined for all. */
export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[] | undefined;
}

export const topicPartitions: OptionType<TopicPartitions> = {
  label: 'TOPIC or TOPIC:PARTITION,...',
  parse: (value) => {
    const [, topic, list] = /^([A-Za-z0-9._-]+)(?::(\d{1,9}(?:,\d{1,9})*))?$/.exec(value) ?? [];
    if (topic === undefined) throw new ExpectationError(topicPartitions.label);
    return { topic, partitions: list === undefined ? undefined : [...new Set(list.split(',').map(Number))] };
  },
};

/** A place in every partition of a topic. */
export type OffsetTarget =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly timestampMs: number };

/** ISO 8601: a day, or a day and a time, with or without a zone; local time without, as ECMAScript has it. */
const isoTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** A bare number is an offset; `@` marks a number as milliseconds since the epoch, so that neither is guessed. */
export const offsetTarget: OptionType<OffsetTarget> = {
  label: 'earliest, latest, an offset, a time such as 2030-01-31T12:00:00Z, or @ and epoch milliseconds',
  parse: (value) => {
    if (value === 'earliest' || value === 'latest') return { kind: value };
    if (/^\d{1,15}$/.test(value)) return { kind: 'offset', offset: Number(value) };
    if (/^@\d{1,15}$/.test(value)) return { kind: 'time', timestampMs: Number(value.slice(1)) };
    const timestampMs = isoTime.test(value) ? Date.parse(value) : Number.NaN;
    if (Number.isNaN(timestampMs)) throw new ExpectationError(offsetTarget.label);
    return { kind: 'time', timestampMs };
  },
};

/** An offset, or with a minus how many records before the end. */
export const startOffset: OptionType<number> = {
  label: 'an offset, or -N for N records before the end',
  parse: (value) => {
    if (!/^-?\d{1,15}$/.test(value) || /^-0+$/.test(value)) throw new ExpectationError(startOffset.label);
    return Number(value);
  },
};
