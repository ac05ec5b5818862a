import { expect } from 'chai';
import { Backoff, pause, systemClock, unlessAborted } from '../../../src/kernel/clock.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';

describe('backoff', () => {
  it('doubles up to its cap, with at most a fifth taken off', () => {
    for (let runs = 0; runs < 200; runs += 1) {
      const backoff = new Backoff(100, 1_000);
      for (const fullMs of [100, 200, 400, 800, 1_000, 1_000, 1_000]) {
        expect(backoff.nextMs()).to.be.within(fullMs * 0.8, fullMs);
      }
    }
  });

  it('is not the same for everybody', () => {
    const delays = new Set(Array.from({ length: 100 }, () => new Backoff(10_000, 10_000).nextMs()));
    expect(delays.size).to.be.above(10);
  });

  it('starts over when it is reset', () => {
    const backoff = new Backoff(100, 1_000);
    for (let i = 0; i < 5; i += 1) backoff.nextMs();
    backoff.reset();
    expect(backoff.nextMs()).to.be.within(80, 100);
    expect(backoff.nextMs()).to.be.within(160, 200);
  });
});

describe('pause', () => {
  let clock: FakeClock;
  let stopping: AbortController;
  let over: boolean;

  beforeEach(() => {
    clock = new FakeClock();
    stopping = new AbortController();
    over = false;
  });

  async function begin(delayMs: number, signal?: AbortSignal): Promise<void> {
    pause(clock, delayMs, signal).then(
      () => {
        over = true;
      },
      () => {},
    );
    await settled();
  }

  it('is over after its time and not before', async () => {
    await begin(100);
    await clock.pass(99);
    expect(over).to.equal(false);
    await clock.pass(1);
    expect(over).to.equal(true);
  });

  it('is over at once when it is aborted, and leaves no timer', async () => {
    await begin(100, stopping.signal);
    expect(over).to.equal(false);
    stopping.abort();
    await settled();
    expect(over).to.equal(true);
    expect(clock.pending).to.equal(0);
  });

  it('does not begin when it is aborted already', async () => {
    stopping.abort();
    await begin(100, stopping.signal);
    expect(over).to.equal(true);
    expect(clock.pending).to.equal(0);
  });

  it('leaves nothing on the signal when its time is over', async () => {
    const { signal } = stopping;
    const listening = new Set<unknown>();
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = ((type: string, listener: () => void) => {
      listening.add(listener);
      addEventListener.call(signal, type, listener);
    }) as typeof addEventListener;
    signal.removeEventListener = ((type: string, listener: () => void) => {
      listening.delete(listener);
      removeEventListener.call(signal, type, listener);
    }) as typeof removeEventListener;
    await begin(100, signal);
    expect(listening.size).to.equal(1);
    await clock.pass(100);
    expect(over).to.equal(true);
    expect(listening.size).to.equal(0);
  });
});

describe('unless aborted', () => {
  let stopping: AbortController;
  let result: string | undefined;

  beforeEach(() => {
    stopping = new AbortController();
    result = undefined;
  });

  async function watch(promise: Promise<string>): Promise<void> {
    unlessAborted(promise, stopping.signal).then(
      (value) => {
        result = value ?? 'given up';
      },
      (error: Error) => {
        result = error.message;
      },
    );
    await settled();
  }

  it('ends as the promise does', async () => {
    await watch(Promise.resolve('value'));
    expect(result).to.equal('value');
    await watch(Promise.reject(new Error('failure')));
    expect(result).to.equal('failure');
  });

  it('does not wait for the promise when it is aborted, before or meanwhile', async () => {
    const never = new Promise<string>(() => {});
    await watch(never);
    expect(result).to.equal(undefined);
    stopping.abort();
    await settled();
    expect(result).to.equal('given up');
    result = undefined;
    await watch(never);
    expect(result).to.equal('given up');
  });

  it('lets what the promise does afterwards go by', async () => {
    let fail: (error: Error) => void = () => {};
    await watch(
      new Promise<string>((_, reject) => {
        fail = reject;
      }),
    );
    stopping.abort();
    await settled();
    fail(new Error('too late'));
    await settled();
    expect(result).to.equal('given up');
  });
});

describe('system clock', () => {
  it('calls back once, and not when it was cancelled first', async () => {
    const calls: string[] = [];
    const cancel = systemClock.after(1, () => calls.push('cancelled'));
    cancel();
    // A call of the clock's does not keep the process alive; this timer does.
    const alive = setTimeout(() => {}, 10_000);
    await new Promise<void>((resolve) => {
      systemClock.after(20, () => {
        calls.push('called');
        resolve();
      });
    });
    clearTimeout(alive);
    expect(calls).to.deep.equal(['called']);
  });

  it('does not go back, and counts wall time in milliseconds since the epoch', () => {
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).to.be.at.least(first);
    expect(new Date(systemClock.nowMs()).getUTCFullYear()).to.be.above(2_000);
  });
});
