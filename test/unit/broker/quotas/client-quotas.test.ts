import { expect } from 'chai';
import { windowLifetimeMs } from '../../../../src/broker/quotas/rate-window.ts';
import { QuotaRig } from './quota-rig.ts';

const reader = { user: 'ANONYMOUS', clientId: 'reader' };
const key = 'consumer_byte_rate';

describe('quotas of clients', () => {
  let rig: QuotaRig;

  beforeEach(() => {
    rig = new QuotaRig();
  });

  it('hold nobody as long as there are none', () => {
    expect(rig.quotas.isEmpty).to.equal(true);
    expect(rig.quotas.burstBytes(key, reader)).to.equal(undefined);
    expect(rig.quotas.charge(key, reader, 1e12)).to.equal(0);
  });

  it('hold a client that has had more than its share until the rate is back at it', async () => {
    await rig.set({ 'client-id': 'reader' }, key, 1000);
    expect(rig.quotas.isEmpty).to.equal(false);
    expect(rig.quotas.burstBytes(key, reader)).to.equal(10_000);
    expect(rig.quotas.charge(key, reader, 10_000)).to.equal(0);
    expect(rig.quotas.charge(key, reader, 2_000)).to.equal(2_000);
    expect(rig.quotas.charge(key, { ...reader, clientId: 'another' }, 1e9)).to.equal(0);
    expect(rig.quotas.charge('producer_byte_rate', reader, 1e9)).to.equal(0);
  });

  it('do not count what is taken back', async () => {
    await rig.set({ 'client-id': 'reader' }, key, 1000);
    for (let times = 0; times < 5; times += 1) {
      expect(rig.quotas.charge(key, reader, 11_000)).to.equal(1_000);
      rig.quotas.refund(key, reader, 11_000);
    }
    expect(rig.quotas.charge(key, reader, 10_000)).to.equal(0);
  });

  it('tell nobody to wait for more than five minutes', async () => {
    await rig.set({ 'client-id': 'reader' }, key, 1);
    expect(rig.quotas.charge(key, reader, 1e12)).to.equal(300_000);
  });

  it('count what was had before a quota was changed, and forget all when the last one goes', async () => {
    await rig.set({ 'client-id': 'reader' }, key, 1_000_000);
    rig.quotas.charge(key, reader, 20_000);
    await rig.set({ 'client-id': 'reader' }, key, 1000);
    expect(rig.quotas.charge(key, reader, 0)).to.equal(10_000);
    await rig.set({ 'client-id': 'reader' }, key, undefined);
    expect(rig.quotas.isEmpty).to.equal(true);
    expect(rig.quotas.charge(key, reader, 1e9)).to.equal(0);
    await rig.set({ 'client-id': 'reader' }, key, 1000);
    expect(rig.quotas.charge(key, reader, 10_000)).to.equal(0);
  });

  it('do not mix clients up that share a default, also after the idle ones are forgotten', async () => {
    await rig.set({ 'client-id': null }, key, 1000);
    for (let index = 0; index < 100; index += 1) {
      expect(rig.quotas.charge(key, { ...reader, clientId: `client-${index}` }, 10_000)).to.equal(0);
    }
    await rig.clock.pass(windowLifetimeMs - 1);
    rig.quotas.charge(key, reader, 10_000);
    await rig.clock.pass(1);
    expect(rig.quotas.charge(key, { ...reader, clientId: 'client-0' }, 10_000)).to.equal(0);
    expect(rig.quotas.charge(key, reader, 1_000)).to.be.greaterThan(0);
  });

  it('stay as they were when a change cannot be stored', async () => {
    await rig.set({ 'client-id': 'reader' }, key, 1000);
    rig.store.failure = new Error('the disk is full');
    const change = rig.set({ 'client-id': 'reader' }, key, undefined);
    expect(await change.catch((error: Error) => error.message)).to.equal('the disk is full');
    expect(rig.quotas.charge(key, reader, 20_000)).to.equal(10_000);
    expect(rig.quotas.list()).to.deep.equal([{ entity: { 'client-id': 'reader' }, values: { [key]: 1000 } }]);
  });
});
