import {
  type Consistency,
  type Database,
  scanLimitMax,
  type WriteOptions,
  type Written,
} from '../database/database.ts';
import { beginInSlices, errorAsAnswer } from '../database/slices.ts';
import type { Clock } from '../kernel/clock.ts';
import { BitacoraError, errorTable } from '../kernel/errors.ts';
import { Begun, type ServedProtocol } from './calls.ts';
import { readingEncoder, readingsEncoder } from './reading-encoder.ts';
import { scanEncoder, UnreadPage } from './scan-encoder.ts';
import type {
  EachWritten,
  FailureData,
  GetParameters,
  MultiGetParameters,
  MultiPutParameters,
  PositionData,
  PutParameters,
  RemoveParameters,
  ScanParameters,
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
    encoders: { get: readingEncoder, multiGet: readingsEncoder(answerBytesMax), scan: scanEncoder },
    handlers: {
      get: ({ key, consistency, positions }: GetParameters) =>
        database.readConsistently(key, consistencyOf(consistency, positions)),
      put: async (parameters: PutParameters) => writtenData(await put(parameters)),
      remove: async ({ key, wait }: RemoveParameters) => writtenData(await database.delete(key, { wait: waits[wait] })),
      multiGet: async ({ keys, consistency, positions }: MultiGetParameters) => {
        checkBatch(keys.length);
        return database.readMany(keys, consistencyOf(consistency, positions));
      },
      multiPut: ({ writes, wait }: MultiPutParameters) => {
        checkBatch(writes.length);
        const { begun, results } = beginInSlices(writes, ({ key, value, ttlMs, contentType }) =>
          errorAsAnswer(() =>
            value === null
              ? database.delete(key, { wait: waits[wait] })
              : put({ key, value, wait, ttlMs, contentType }),
          ),
        );
        return new Begun(
          begun,
          results.then((answers) => answers.map(eachWritten)),
        );
      },
      scan: async (parameters: ScanParameters) => {
        const { prefix, fromKey, toKey, after, limit, keysOnly, consistency, positions } = parameters;
        if (limit < 1 || limit > scanLimitMax) {
          throw new BitacoraError('parameter_invalid', `limit is a number of entries, from 1 to ${scanLimitMax}.`);
        }
        const [from, to, behind] = [fromKey, toKey, after].map((bound) => bound ?? undefined);
        const scan = await database.scan(consistencyOf(consistency, positions));
        return new UnreadPage(scan, { prefix, from, to, after: behind, limit, keysOnly });
      },
    },
  };
}

const waits: Readonly<Record<WaitSymbol, WriteOptions['wait']>> = { APPLIED: 'applied', LOGGED: 'logged' };

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

function eachWritten(answer: Written | BitacoraError): EachWritten {
  return answer instanceof BitacoraError
    ? { 'bitacora.rpc.Failure': failureData(answer) }
    : { 'bitacora.rpc.Written': writtenData(answer) };
}

function writtenData({ partition, offset, timestampMs, applied }: Written): WrittenData {
  return { partition, offset, timestampMs, applied };
}

function failureData({ code, detail }: BitacoraError): FailureData {
  return { code, status: errorTable[code].status, detail };
}
