import type { StateEntry, StateLog } from '../../../../src/broker/state-log.ts';
import { readTransactionKey, readTransactionValue } from '../../../../src/broker/txn/transaction-log.ts';
import { listPartitions } from '../../../../src/broker/txn/transaction-state.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';
import type { NewRecord } from '../../../../src/protocol/record-batch.ts';

/** How an append goes wrong: the records did not get into the log, or they did and nobody can be sure of it. */
export type Refusal = 'before' | 'after';

/** What a disk keeps through a crash; and how it behaves, as a test wants it. */
export class ScriptedLog {
  readonly entries: StateEntry[] = [];
  readonly transcript: string[];
  /** For the next appends, one each. */
  readonly refusals: Refusal[] = [];
  #held: (() => void)[] | undefined;

  constructor(transcript: string[]) {
    this.transcript = transcript;
  }

  /** Appends wait until `release`, as they do for a slow disk. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const go of held) go();
  }

  /** The log as one run of the broker sees it: once that has crashed, it writes nothing and hears nothing. */
  open(crashed: AbortSignal): StateLog {
    return {
      append: async (records) => {
        if (crashed.aborted) return never();
        const refusal = this.refusals.shift();
        if (refusal === 'before') throw storageError();
        for (const record of records) this.#write(record);
        if (this.#held !== undefined) await new Promise<void>((resolve) => this.#held!.push(resolve));
        if (crashed.aborted) return never();
        if (refusal === 'after') throw storageError();
      },
      replay: async (visit) => {
        for (const entry of this.entries) visit(entry);
      },
    };
  }

  #write({ key, value, timestampMs }: NewRecord): void {
    this.entries.push({ kind: 'record', key, value, timestampMs, transaction: undefined });
    this.transcript.push(`log ${readTransactionKey(key!)} ${value === null ? 'forgotten' : describe(value)}`);
  }
}

function describe(value: Buffer): string {
  const { status, producerId, producerEpoch, partitions } = readTransactionValue(value);
  const targets = listPartitions(partitions).map(({ topic, partition }) => `${topic}-${partition}`);
  return [status, `${producerId}/${producerEpoch}`, ...targets].join(' ');
}

function storageError(): KafkaError {
  return new KafkaError('KAFKA_STORAGE_ERROR', 'the disk is full');
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}
