import type { Clock } from '../kernel/clock.ts';
import type { Service } from '../kernel/lifecycle.ts';
import type { Logger } from '../kernel/logger.ts';
import type { CatchUpProgress } from './catch-up.ts';
import type { ReplicaStatus } from './status.ts';

export interface CatchUpReporterOptions {
  readonly status: () => ReplicaStatus;
  /** A terminal gets one line that is written over; undefined: a log line now and then. */
  readonly terminal: { write(text: string): void } | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const lookEveryMs = 250;
const logEveryMs = 5_000;
/** A catch-up shorter than this is over before a line about it could be read. */
const quietMs = 1_000;
const eraseLine = '\r\u001b[K';

/** Tells a person how far a node that catches up has come, and once when it has. */
export class CatchUpReporter implements Service {
  readonly name = 'catch-up reporter';
  readonly #options: CatchUpReporterOptions;
  #cancel: () => void = () => {};
  #startedMs: number | undefined;
  #logAtMs = 0;
  #drewLine = false;

  constructor(options: CatchUpReporterOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    this.#schedule(50);
  }

  async stop(): Promise<void> {
    this.#cancel();
    this.#erase();
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => this.#report());
  }

  #report(): void {
    const { status, terminal, clock, logger } = this.#options;
    const { state, progress, partitions } = status();
    const nowMs = clock.monotonicMs();
    if (progress !== undefined) {
      if (this.#startedMs === undefined) {
        this.#startedMs = nowMs;
        this.#logAtMs = nowMs + quietMs;
      }
      if (terminal !== undefined) {
        terminal.write(`${eraseLine}${progressText(progress)}`);
        this.#drewLine = true;
      } else if (nowMs >= this.#logAtMs) {
        logger.info(progressText(progress));
        this.#logAtMs = nowMs + logEveryMs;
      }
    } else {
      this.#erase();
      if (state === 'serving' && this.#startedMs !== undefined) {
        const offsets = partitions.reduce((sum, { position }) => sum + position, 0);
        const seconds = ((nowMs - this.#startedMs) / 1000).toFixed(1);
        logger.info(`caught up with the log: ${partitions.length} partition(s), ${offsets} offsets, ${seconds} s`);
        this.#startedMs = undefined;
      }
    }
    this.#schedule(lookEveryMs);
  }

  #erase(): void {
    if (this.#drewLine) this.#options.terminal?.write(eraseLine);
    this.#drewLine = false;
  }
}

/** `catching up: 1,200,000 of 2,000,000 offsets (60 %), 450,000/s, 2 s left`. */
export function progressText({
  offsetsDone,
  offsetsTotal,
  percent,
  offsetsPerSecond,
  remainingMs,
}: CatchUpProgress): string {
  const number = (value: number) => value.toLocaleString('en-US');
  const remaining = remainingMs === undefined ? '' : `, ${number(Math.ceil(remainingMs / 1000))} s left`;
  return `catching up: ${number(offsetsDone)} of ${number(offsetsTotal)} offsets (${percent} %), ${number(offsetsPerSecond)}/s${remaining}`;
}
