import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { HostedBroker } from '../../../src/broker/hosted-broker.ts';
import { brokerOptionsOf } from '../../../src/broker-program.ts';
import { embeddedBrokerConfig } from '../../../src/config/broker-config.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { createLogger } from '../../../src/kernel/logger.ts';

/** As it is shipped: a thread does not find the sources under tsx. */
const shipped = new URL('../../../dist/broker/hosted-broker.js', import.meta.url).href;

describe('a broker in a thread', function () {
  this.timeout(30_000);
  let folder: string;
  let hosted: HostedBroker;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-hosted-'));
    const { HostedBroker: Shipped } = (await import(shipped)) as { HostedBroker: typeof HostedBroker };
    const config = embeddedBrokerConfig({ brokerPort: 0, dataDir: folder, brokerFlush: 'none', logLevel: 'silent' });
    const input = { options: brokerOptionsOf(config), logLevel: 'silent' as const, terminal: false };
    hosted = new Shipped({ input, clock: systemClock, logger: createLogger('silent', { terminal: false }) });
  });

  afterEach(() => rm(folder, { recursive: true }));

  const isLocked = async () => (await readdir(join(folder, 'log'))).includes('.lock');

  it('is there from its start to its stop', async () => {
    expect(await hosted.metrics()).to.equal('');
    await hosted.run();
    expect(await isLocked()).to.equal(true);
    expect(await hosted.metrics()).to.include('bitacora_broker_partitions 2');
    await hosted.stop();
    expect(await isLocked()).to.equal(false);
    expect(await hosted.metrics()).to.equal('');
  });

  it('stops cleanly too when it is stopped while it starts', async () => {
    const running = hosted.run();
    await hosted.stop();
    await running;
    expect(await isLocked()).to.equal(false);
  });
});
