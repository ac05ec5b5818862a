import type { Consistency, Database, Reading, WriteOptions, Written } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError, errorTable } from '../kernel/errors.ts';
import type { ServedProtocol } from './calls.ts';
import { nearestLong, readingEncoder } from './reading-encoder.ts';
import type {
  FailureData,
  GetParameters,
  MultiGetParameters,
  MultiPutParameters,
  PositionData,
  PutParameters,
  ReadingData,
  WaitSymbol,
  WrittenData,
} from './wire/database-data.ts';
import { ownProtocol } from './wire/protocol.ts';

/** Keys or writes of one call. */
export const batchMax = 5_000;
/** Positions that a session read may send, as over HTTP. */
const positionsMax = 4096;
const ttlMsMax = 9_999_999_999_999;
/** What an HTTP header can carry, since HTTP gives it back. */
const contentTypes = /^[\x20-\x7e]{1,256}$/;

/** The protocol of `schemas/database.avdl`: the database as HTTP has it. The values of one answer have `answerBytesMax` at most. */
export function databaseMessages(database: Database, clock: Clock, answerBytesMax: number): ServedProtocol {
  const put = async ({ key, value, wait, ttlMs, contentType }: PutParameters): Promise<Written> =>
    database.put(key, value, {
      wait: waits[wait],
      expiresAtMs: expiryOf(ttlMs, clock.nowMs()),
      contentType: checkedType(contentType),
    });
  return {
    protocol: ownProtocol('database.avpr'),
    failureOf: failureData,
    encoders: { get: readingEncoder },
    handlers: {
      get: ({ key, consistency, positions }: GetParameters) =>
        database.readConsistently(key, consistencyOf(consistency, positions)),
      put: async (parameters: PutParameters) => writtenData(await put(parameters)),
      remove: async ({ key, wait }: { key: Buffer; wait: WaitSymbol }) =>
        writtenData(await database.delete(key, { wait: waits[wait] })),
      multiGet: async ({ keys, consistency, positions }: MultiGetParameters) => {
        checkBatch(keys.length);
        const level = consistencyOf(consistency, positions);
        let bytesLeft = answerBytesMax;
        const answers = await each(keys, (key) => database.readConsistently(key, level));
        return answers.map((answer) => {
          if (answer instanceof BitacoraError) return { 'bitacora.rpc.Failure': failureData(answer) };
          bytesLeft -= answer.found?.latin1.length ?? 0;
          if (bytesLeft >= 0) return { 'bitacora.rpc.Reading': readingData(answer) };
          const detail = `The values before this one have ${answerBytesMax} bytes: ask for the rest in another call.`;
          return { 'bitacora.rpc.Failure': failureData(new BitacoraError('answer_too_large', detail)) };
        });
      },
      multiPut: async ({ writes, wait }: MultiPutParameters) => {
        checkBatch(writes.length);
        const answers = await each(writes, ({ key, value, ttlMs, contentType }) =>
          value === null ? database.delete(key, { wait: waits[wait] }) : put({ key, value, wait, ttlMs, contentType }),
        );
        return answers.map((answer) =>
          answer instanceof BitacoraError
            ? { 'bitacora.rpc.Failure': failureData(answer) }
            : { 'bitacora.rpc.Written': writtenData(answer) },
        );
      },
    },
  };
}

const waits: Readonly<Record<WaitSymbol, WriteOptions['wait']>> = { APPLIED: 'applied', LOGGED: 'logged' };

/** What each comes to, in order; a `BitacoraError` of one is its answer, any other error is the whole call's. */
function each<In, Out>(items: readonly In[], work: (item: In) => Out | Promise<Out>): Promise<(Out | BitacoraError)[]> {
  return Promise.all(
    items.map(async (item) => {
      try {
        return await work(item);
      } catch (error) {
        if (error instanceof BitacoraError) return error;
        throw error;
      }
    }),
  );
}

function consistencyOf(level: GetParameters['consistency'], positions: readonly PositionData[]): Consistency {
  switch (level) {
    case 'LOCAL':
      return local;
    case 'LINEARIZABLE':
      return linearizable;
    case 'SESSION':
      return { level: 'session', positions: positionsOf(positions) };
  }
}

const local: Consistency = { level: 'local' };
const linearizable: Consistency = { level: 'linearizable' };

function positionsOf(entries: readonly PositionData[]): ReadonlyMap<number, number> {
  if (entries.length > positionsMax) {
    throw new BitacoraError('parameter_invalid', `A session read sends at most ${positionsMax} positions.`);
  }
  const positions = new Map<number, number>();
  for (const { partition, position } of entries) {
    if (partition < 0 || position < 0) {
      throw new BitacoraError('parameter_invalid', 'Partitions and positions are not below zero.');
    }
    positions.set(partition, Math.max(position, positions.get(partition) ?? 0));
  }
  return positions;
}

function checkBatch(count: number): void {
  if (count > batchMax) throw new BitacoraError('parameter_invalid', `One call takes at most ${batchMax} keys.`);
}

function expiryOf(ttlMs: number | null, nowMs: number): number | undefined {
  if (ttlMs === null) return undefined;
  if (ttlMs < 1 || ttlMs > ttlMsMax) {
    throw new BitacoraError('parameter_invalid', `ttlMs is a number of milliseconds, from 1 to ${ttlMsMax}.`);
  }
  return nowMs + ttlMs;
}

function checkedType(contentType: string | null): string | undefined {
  if (contentType === null) return undefined;
  if (contentTypes.test(contentType)) return contentType;
  throw new BitacoraError('parameter_invalid', 'contentType has 1 to 256 characters of printable ASCII.');
}

function readingData({ found, source, partition, position }: Reading): ReadingData {
  return {
    found:
      found === undefined
        ? null
        : {
            value: found.value,
            partition: found.partition,
            offset: found.offset,
            timestampMs: nearestLong(found.timestampMs),
            expiresAtMs: found.expiresAtMs ?? null,
            contentType: found.contentType ?? null,
          },
    source: source === 'log' ? 'LOG' : 'PEER',
    partition,
    position,
  };
}

function writtenData({ partition, offset, timestampMs, applied }: Written): WrittenData {
  return { partition, offset, timestampMs, applied };
}

function failureData({ code, detail }: BitacoraError): FailureData {
  return { code, status: errorTable[code].status, detail };
}
