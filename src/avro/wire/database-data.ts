/** The data of `schemas/database.avdl` as avsc has them. */

export type ConsistencySymbol = 'LOCAL' | 'SESSION' | 'LINEARIZABLE';
export type WaitSymbol = 'APPLIED' | 'LOGGED';

export interface PositionData {
  readonly partition: number;
  readonly position: number;
}

export interface ValueData {
  readonly value: Buffer;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | null;
  readonly contentType: string | null;
}

export interface ReadingData {
  readonly found: ValueData | null;
  readonly source: 'LOG' | 'PEER';
  readonly partition: number;
  readonly position: number;
}

export interface WrittenData {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly applied: boolean;
}

export interface WriteData {
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly ttlMs: number | null;
  readonly contentType: string | null;
}

export interface FailureData {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
}

export interface GetParameters {
  readonly key: Buffer;
  readonly consistency: ConsistencySymbol;
  readonly positions: readonly PositionData[];
}

export interface PutParameters extends WriteData {
  readonly value: Buffer;
  readonly wait: WaitSymbol;
}

export interface RemoveParameters {
  readonly key: Buffer;
  readonly wait: WaitSymbol;
}

export interface MultiGetParameters {
  readonly keys: readonly Buffer[];
  readonly consistency: ConsistencySymbol;
  readonly positions: readonly PositionData[];
}

export interface MultiPutParameters {
  readonly writes: readonly WriteData[];
  readonly wait: WaitSymbol;
}

export interface EntryData {
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly expiresAtMs: number | null;
  readonly contentType: string | null;
}

export interface ScanPageData {
  readonly entries: readonly EntryData[];
  readonly after: Buffer | null;
  readonly positions: readonly PositionData[];
}

export interface ScanParameters {
  readonly prefix: Buffer;
  readonly fromKey: Buffer | null;
  readonly toKey: Buffer | null;
  readonly after: Buffer | null;
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly consistency: ConsistencySymbol;
  readonly positions: readonly PositionData[];
}

/** Branches of the unions that answers of several are made of. */
export type EachReading = { readonly 'bitacora.rpc.Reading': ReadingData } | EachFailure;
export type EachWritten = { readonly 'bitacora.rpc.Written': WrittenData } | EachFailure;
export interface EachFailure {
  readonly 'bitacora.rpc.Failure': FailureData;
}
