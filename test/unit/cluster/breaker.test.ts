import { expect } from 'chai';
import { Breaker } from '../../../src/cluster/breaker.ts';

describe('a breaker', () => {
  let breaker: Breaker;

  beforeEach(() => {
    breaker = new Breaker();
  });

  function fail(times: number, atMs: number): void {
    for (let i = 0; i < times; i += 1) breaker.failed(atMs);
  }

  /** The first time, within a minute, at which the peer may be asked again after `fromMs`. Begins the trial. */
  function nextTrial(fromMs: number): number {
    for (let atMs = fromMs; atMs < fromMs + 60_000; atMs += 100) if (breaker.allows(atMs)) return atMs;
    throw new Error('no trial');
  }

  it('lets everything through at first, however much is under way', () => {
    for (let i = 0; i < 100; i += 1) expect(breaker.allows(i)).to.equal(true);
    expect(breaker.isOpen).to.equal(false);
  });

  it('opens after five failures in a row, not four', () => {
    fail(4, 0);
    expect([breaker.isOpen, breaker.allows(0)]).to.deep.equal([false, true]);
    fail(1, 0);
    expect([breaker.isOpen, breaker.allows(0)]).to.deep.equal([true, false]);
  });

  it('counts from anew after a success', () => {
    fail(4, 0);
    breaker.succeeded();
    fail(4, 0);
    expect(breaker.isOpen).to.equal(false);
  });

  it('stays open for a second, and then lets exactly one through', () => {
    fail(5, 500);
    expect(breaker.allows(1_499)).to.equal(false);
    expect(breaker.allows(1_500)).to.equal(true);
    expect(breaker.isOpen).to.equal(true);
    for (const atMs of [1_500, 1_501, 100_000]) expect(breaker.allows(atMs)).to.equal(false);
  });

  it('closes when the trial succeeds, and needs five failures again', () => {
    fail(5, 0);
    nextTrial(0);
    breaker.succeeded();
    expect([breaker.isOpen, breaker.allows(1_000), breaker.allows(1_000)]).to.deep.equal([false, true, true]);
    fail(4, 1_000);
    expect(breaker.isOpen).to.equal(false);
    fail(1, 1_000);
    expect(nextTrial(1_000)).to.equal(2_000);
  });

  it('stays open twice as long after each trial that fails, up to 30 s', () => {
    fail(5, 0);
    const waits: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 8; i += 1) {
      const trialMs = nextTrial(nowMs);
      waits.push(trialMs - nowMs);
      breaker.failed(trialMs);
      nowMs = trialMs;
    }
    expect(waits).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('counts the open time from when the trial failed, not from when it began', () => {
    fail(5, 0);
    expect(breaker.allows(1_000)).to.equal(true);
    breaker.failed(1_400);
    expect(nextTrial(1_400)).to.equal(3_400);
  });

  it('is not kept open longer by failures of requests of before it opened', () => {
    fail(5, 0);
    fail(20, 900);
    expect(nextTrial(900)).to.equal(1_000);
    breaker.failed(1_000);
    fail(20, 2_900);
    expect(nextTrial(2_900)).to.equal(3_000);
  });

  it('closes by a success of a request of before it opened: the peer answers', () => {
    fail(5, 0);
    breaker.succeeded();
    expect([breaker.isOpen, breaker.allows(0), breaker.allows(0)]).to.deep.equal([false, true, true]);
  });

  it('lets one through at once when the peer is revived, and is as it was when that fails', () => {
    fail(5, 0);
    breaker.revived(100);
    expect([breaker.isOpen, breaker.allows(100), breaker.allows(100)]).to.deep.equal([true, true, false]);
    breaker.failed(200);
    expect(nextTrial(200)).to.equal(2_200);
  });

  it('is not kept open longer because the peer is revived', () => {
    fail(5, 0);
    breaker.revived(5_000);
    expect(breaker.allows(1_000)).to.equal(true);
  });

  it('begins at a second again after it has been closed', () => {
    fail(5, 0);
    breaker.failed(nextTrial(0));
    nextTrial(1_000);
    breaker.succeeded();
    fail(5, 10_000);
    expect(nextTrial(10_000)).to.equal(11_000);
  });
});
