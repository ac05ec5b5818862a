import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ClientQuotas } from '../../../../src/broker/quotas/client-quotas.ts';
import { Topics } from '../../../../src/broker/topics/topics.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

describe('quotas on disk', () => {
  const clock = new FakeClock();
  const logger = createLogger('silent', { terminal: false });
  let folder: string;
  let topics: Topics;

  const open = async (): Promise<ClientQuotas> => {
    topics = await Topics.open({ folder, flush: 'none', clock, logger });
    return new ClientQuotas(topics, clock);
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-quotas-'));
  });

  afterEach(async () => {
    await topics.close();
    await rm(folder, { recursive: true });
  });

  it('are there after a restart, those too that were set at the same time', async () => {
    const before = await open();
    const users = Array.from({ length: 10 }, (_, index) => `user-${index}`);
    const set = (user: string) =>
      before.alter([{ entity: { user }, values: new Map([['producer_byte_rate', 1000] as const]) }]);
    await Promise.all([...users.map(set), topics.create({ name: 'meanwhile', partitions: 1, overrides: {} })]);
    await topics.close();

    const after = await open();
    expect(after.list().map(({ entity }) => entity.user)).to.have.members(users);
    expect(after.charge('producer_byte_rate', { user: 'user-3', clientId: 'any' }, 20_000)).to.equal(10_000);
    expect(topics.find('meanwhile')).to.not.equal(undefined);
  });
});
