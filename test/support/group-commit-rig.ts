import { BitacoraError, type ErrorCode } from '../../src/kernel/errors.ts';
import { GroupCommit, type QueueBudget } from '../../src/log/group-commit.ts';
import { FakeClock } from './fake-clock.ts';
import { ScriptedSender } from './scripted-sender.ts';

/** How an append ended. */
export interface Fate {
  /** `offset 7`, or an error's code. */
  readonly result: `offset ${number}` | ErrorCode;
  readonly timestampMs: number | undefined;
  readonly tookMs: number;
}

export interface RigOptions {
  readonly writeTimeoutMs?: number;
  readonly batchBytesMax?: number;
  readonly batchRecordsMax?: number;
  readonly budget?: QueueBudget;
}

/** A group commit in the hands of a test: its clock, its log, and what became of every append. */
export class GroupCommitRig {
  readonly clock = new FakeClock();
  readonly sender = new ScriptedSender();
  readonly budget: QueueBudget;
  readonly commit: GroupCommit;
  /** By key, in the order in which they were settled. */
  readonly fates = new Map<string, Fate>();

  constructor(options: RigOptions = {}) {
    const { writeTimeoutMs = 10_000, batchBytesMax = 1e6, batchRecordsMax = 1_000 } = options;
    this.budget = options.budget ?? { bytes: 0, bytesMax: 1e6 };
    const { clock, budget } = this;
    this.commit = new GroupCommit(this.sender, { clock, writeTimeoutMs, batchBytesMax, batchRecordsMax, budget });
  }

  /** Appends a record under each key; the keys must be new. */
  append(...keys: string[]): void {
    for (const key of keys) this.appendSized(key, 1);
  }

  appendSized(key: string, valueBytes: number): void {
    const startedMs = this.clock.monotonicMs();
    const end = (result: Fate['result'], timestampMs?: number) => {
      if (this.fates.has(key)) throw new Error(`${key} was settled twice`);
      this.fates.set(key, { result, timestampMs, tookMs: this.clock.monotonicMs() - startedMs });
    };
    this.commit.append({ partition: 3, key: Buffer.from(key), value: Buffer.alloc(valueBytes), timestampMs: 77 }).then(
      ({ offset, timestampMs }) => end(`offset ${offset}`, timestampMs),
      (error: unknown) => end(error instanceof BitacoraError ? error.code : 'internal'),
    );
  }

  /** `{ a: 'offset 7', b: 'log_unavailable' }`. */
  get results(): Record<string, Fate['result']> {
    return Object.fromEntries([...this.fates].map(([key, { result }]) => [key, result]));
  }
}
