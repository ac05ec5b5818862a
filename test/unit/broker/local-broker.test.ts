import { expect } from 'chai';
import { BrokerTakenError, type HostedBroker } from '../../../src/broker/hosted-broker.ts';
import { LocalBroker } from '../../../src/broker/local-broker.ts';
import { Services } from '../../../src/kernel/lifecycle.ts';
import { createLogger } from '../../../src/kernel/logger.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { freePort } from '../../support/kafka/ports.ts';

describe('the broker of a machine', () => {
  it('is not waited for by a node that is stopped', async () => {
    const taken = new BrokerTakenError('the folder is in use');
    let hasTried: () => void;
    const tried = new Promise<void>((resolve) => {
      hasTried = resolve;
    });
    const hosted: Pick<HostedBroker, 'name' | 'run' | 'stop'> = {
      name: 'broker',
      run: () => {
        hasTried();
        return Promise.reject(taken);
      },
      stop: () => Promise.reject(new Error('it is of another node')),
    };
    const clock = new FakeClock();
    const local = new LocalBroker({ hosted: hosted as HostedBroker, port: await freePort(), folder: '', clock });
    const services = new Services([local], createLogger('silent', { terminal: false }));
    const running = services.run();
    await tried;
    await services.stop();
    await running;
    expect(clock.pending).to.equal(0);
  });
});
