import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import { Metrics } from '../../../src/kernel/metrics.ts';

const blockedMs = 300;

async function delays(metrics: Metrics): Promise<Record<string, number>> {
  const lines = (await metrics.text()).matchAll(/^bitacora_event_loop_delay_seconds\{quantile="(.*)"\} (\S+)$/gm);
  return Object.fromEntries([...lines].map(([, quantile, value]) => [quantile, Number(value)]));
}

describe('bitacora_event_loop_delay_seconds', () => {
  it('shows a loop that was held up, once', async () => {
    const metrics = new Metrics();
    // Time for some looks at a loop that is not held up, of which most of all looks are.
    await pause(500);
    const untilMs = performance.now() + blockedMs;
    while (performance.now() < untilMs);
    await pause(50);
    const held = await delays(metrics);
    expect(held).to.have.keys(['0.5', '0.99', '1']);
    expect(held['1']).to.be.greaterThan(blockedMs / 2 / 1_000);
    expect(held['0.5']).to.be.lessThan(held['1']!);
    await pause(50);
    expect((await delays(metrics))['1']).not.to.equal(held['1']);
  });

  it('is never below 0, also where there was no time to look', async () => {
    const metrics = new Metrics();
    await metrics.text();
    for (const delay of Object.values(await delays(metrics))) expect(delay).to.be.within(0, 60);
  });

  it('takes the place of what tells the same with a timer in it', async () => {
    const text = await new Metrics().text();
    expect(text.match(/^# TYPE nodejs_eventloop_lag\w*/gm)).to.deep.equal(['# TYPE nodejs_eventloop_lag_seconds']);
  });

  it('is told by the process that it is of, not by each part of it', async () => {
    expect(await delays(new Metrics({ process: false }))).to.deep.equal({});
  });
});
