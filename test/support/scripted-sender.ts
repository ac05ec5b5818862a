import { strict as assert } from 'node:assert';
import { BitacoraError } from '../../src/kernel/errors.ts';
import type { BatchSender, SendOutcome } from '../../src/log/group-commit.ts';
import type { AppendRecord } from '../../src/log/log.ts';
import { settled } from './fake-clock.ts';

export interface Attempt {
  readonly keys: readonly string[];
  outcome: SendOutcome | undefined;
}

/** A sender that does nothing but write down what it is asked; the test answers for the log. */
export class ScriptedSender implements BatchSender {
  /** What was asked of it, one line each: `send a b`, `forget`, `probe`. */
  readonly transcript: string[] = [];
  readonly attempts: Attempt[] = [];
  /** Whether probes find the log. */
  reachable = true;
  #answer: ((outcome: SendOutcome) => void) | undefined;
  /** The batch that may only be repeated as it was. */
  #doubtful: readonly string[] | undefined;

  send(batch: readonly AppendRecord[]): Promise<SendOutcome> {
    assert.equal(this.#answer, undefined, 'two batches in flight');
    assert.notEqual(batch.length, 0, 'an empty batch');
    const keys = batch.map(({ key }) => key.toString());
    if (this.#doubtful !== undefined)
      assert.deepEqual(keys, this.#doubtful, 'another batch in place of a doubtful one');
    this.transcript.push(`send ${keys.join(' ')}`);
    const attempt: Attempt = { keys, outcome: undefined };
    this.attempts.push(attempt);
    return new Promise((resolve) => {
      this.#answer = (outcome) => {
        this.#answer = undefined;
        attempt.outcome = outcome;
        if (outcome.kind === 'unknown') this.#doubtful = keys;
        if (outcome.kind === 'appended') this.#doubtful = undefined;
        resolve(outcome);
      };
    });
  }

  forget(): void {
    this.#doubtful = undefined;
    this.transcript.push('forget');
  }

  async probe(): Promise<void> {
    this.transcript.push('probe');
    if (!this.reachable) throw new Error('nobody listens');
  }

  get inFlight(): boolean {
    return this.#answer !== undefined;
  }

  /** Answers the batch in flight; resolves when everything that follows from it has happened. */
  async answer(outcome: SendOutcome): Promise<void> {
    assert.ok(this.#answer, 'nothing is in flight');
    this.#answer(outcome);
    await settled();
  }
}

export const appended = (baseOffset: number, logAppendTimeMs?: number): SendOutcome => ({
  kind: 'appended',
  baseOffset,
  logAppendTimeMs,
});
export const notSent: SendOutcome = { kind: 'not-sent', error: new Error('connection refused') };
export const unknown: SendOutcome = { kind: 'unknown', error: new Error('connection reset') };
export const rejected = (retry: 'same' | 'anew' | 'split' | 'never'): SendOutcome => ({
  kind: 'rejected',
  retry,
  error: new BitacoraError('log_rejected', `the log says: ${retry}`),
});
