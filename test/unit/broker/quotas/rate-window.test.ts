import { expect } from 'chai';
import { burstOf, RateWindow, throttleTimeMs, windowLifetimeMs } from '../../../../src/broker/quotas/rate-window.ts';

type Step = [atMs: number, amount: number, perSecond: number, spanMs: number];

/** What Kafka 4.1's own `Rate`, of 11 samples of a second, measures after each of these. */
const measuredByKafka: Readonly<Record<string, Step[]>> = {
  'the first second': [
    [0, 1000, 100, 10_000],
    [500, 1000, 190.47619047619048, 10_500],
    [999, 1000, 272.75206836985177, 10_999],
    [1000, 1000, 400, 10_000],
    [1999, 5, 364.12401127375216, 10_999],
    [2500, 7, 382.0952380952381, 10_500],
  ],
  'samples with pauses between them, until the first one goes': [
    [0, 1000, 100, 10_000],
    [5000, 1000, 200, 10_000],
    [9999, 1000, 272.75206836985177, 10_999],
    [10_000, 1000, 400, 10_000],
    [10_999, 1000, 454.5867806164197, 10_999],
    [11_000, 1000, 500, 10_000],
    [12_000, 3, 500.3, 10_000],
  ],
  'a pause after which all is forgotten': [
    [0, 1000, 100, 10_000],
    [20_000, 10, 1, 10_000],
  ],
  'what is taken back': [
    [0, 1000, 100, 10_000],
    [0, -1000, 0, 10_000],
    [100, 0, 0, 10_100],
  ],
  'a sample that goes by when it was last added to, not by when it began': [
    [0, 100, 10, 10_000],
    [900, 100, 18.34862385321101, 10_900],
    [10_950, 0, 18.264840182648403, 10_950],
    [11_899, 0, 16.808135137406506, 11_899],
    [11_900, 0, 0, 10_950],
  ],
  'a sample a second': [
    [0, 1, 0.1, 10_000],
    [1000, 2, 0.3, 10_000],
    [2000, 3, 0.6, 10_000],
    [3000, 4, 1, 10_000],
    [4000, 5, 1.5, 10_000],
    [5000, 6, 2.1, 10_000],
    [6000, 7, 2.8, 10_000],
    [7000, 8, 3.6, 10_000],
    [8000, 9, 4.5, 10_000],
    [9000, 10, 5.5, 10_000],
    [10_000, 11, 6.6, 10_000],
    [11_000, 12, 7.7, 10_000],
    [12_000, 13, 8.8, 10_000],
    [13_000, 14, 9.9, 10_000],
    [14_500, 15, 10.476190476190476, 10_500],
  ],
  'samples at odd times': [
    [0, 100, 10, 10_000],
    [1500, 50, 14.285714285714286, 10_500],
    [3100, 25, 17.326732673267326, 10_100],
    [3101, 25, 19.800019800019797, 10_101],
    [10_999, 0, 18.183471224656785, 10_999],
    [11_000, 0, 9.523809523809524, 10_500],
    [13_999, 0, 4.587576841912102, 10_899],
    [14_100, 0, 4.545454545454546, 11_000],
    [14_101, 0, 0, 10_102],
  ],
};

describe('a rate over a window', () => {
  for (const [name, steps] of Object.entries(measuredByKafka)) {
    it(`is measured as Kafka measures it: ${name}`, () => {
      const window = new RateWindow();
      for (const [atMs, amount, perSecond, spanMs] of steps) {
        const nowMs = 1_000_000 + atMs;
        window.add(amount, nowMs);
        expect(window.perSecond(nowMs), `at ${atMs}`).to.be.closeTo(perSecond, 1e-9);
        expect(window.spanMs(nowMs), `at ${atMs}`).to.equal(spanMs);
      }
    });
  }

  it('lets a burst through after a rest, and holds what is more for as long as the excess takes', () => {
    const window = new RateWindow();
    window.add(burstOf(1000), 0);
    expect(throttleTimeMs(window, 1000, 0)).to.equal(0);
    window.add(5000, 0);
    expect(throttleTimeMs(window, 1000, 0)).to.equal(5000);
  });

  it('is as that of a new window after its lifetime', () => {
    const window = new RateWindow();
    window.add(1_000_000, 0);
    expect(window.isIdle(windowLifetimeMs - 1)).to.equal(false);
    expect(window.isIdle(windowLifetimeMs)).to.equal(true);
    window.add(1000, windowLifetimeMs);
    expect(window.perSecond(windowLifetimeMs)).to.equal(100);
  });
});
