import { expect } from 'chai';
import { type Service, Services } from '../../../src/kernel/lifecycle.ts';
import { keepingLogger } from '../../support/replica-rig.ts';

describe('services', () => {
  let events: string[];
  let lines: string[];

  beforeEach(() => {
    events = [];
    lines = [];
  });

  /** A service that writes down what it is told; `fails` names the calls that reject. */
  function service(name: string, fails: readonly string[] = []): Service {
    const call = (what: string) => async () => {
      events.push(`${what} ${name}`);
      await Promise.resolve();
      if (fails.includes(what)) throw new Error(`${name} cannot ${what}`);
      events.push(`${what} ${name}: done`);
    };
    return { name, run: call('run'), drain: call('drain'), stop: call('stop') };
  }

  const services = (...list: Service[]) => new Services(list, keepingLogger(lines));

  it('start one after another, and end in the reverse order, each drained and then stopped', async () => {
    const both = services(service('log'), service('http'));
    await both.run();
    expect(events).to.deep.equal(['run log', 'run log: done', 'run http', 'run http: done']);
    events.splice(0);
    await both.stop();
    expect(events.filter((event) => !event.endsWith('done'))).to.deep.equal([
      'drain http',
      'stop http',
      'drain log',
      'stop log',
    ]);
    expect(events.filter((event) => event.endsWith('done'))).to.have.length(4);
    expect(lines).to.deep.equal([]);
  });

  it('need not know how to drain', async () => {
    const { drain: _, ...plain } = service('plain');
    const one = services(plain);
    await one.run();
    await one.stop();
    expect(events).to.deep.equal(['run plain', 'run plain: done', 'stop plain', 'stop plain: done']);
  });

  it('that fail to end are reported, and the others still get their turn', async () => {
    const three = services(service('log'), service('replica', ['drain', 'stop']), service('http', ['stop']));
    await three.run();
    events.splice(0);
    await three.stop();
    expect(events.filter((event) => event.startsWith('stop '))).to.deep.equal([
      'stop http',
      'stop replica',
      'stop log',
      'stop log: done',
    ]);
    expect(lines).to.deep.equal([
      'warn: http did not stop cleanly',
      'warn: replica did not drain',
      'warn: replica did not stop cleanly',
    ]);
  });

  it('that fail to start end the start, and only what was begun is ended', async () => {
    const three = services(service('log'), service('replica', ['run']), service('http'));
    let failure: unknown;
    try {
      await three.run();
    } catch (error) {
      failure = error;
    }
    expect((failure as Error).message).to.equal('replica cannot run');
    expect(events).to.not.include('run http');
    events.splice(0);
    await three.stop();
    expect(events.filter((event) => event.startsWith('stop ') && event.endsWith('done'))).to.deep.equal([
      'stop replica: done',
      'stop log: done',
    ]);
    expect(events).to.not.include('stop http');
  });

  it('are all told before the first of them drains', async () => {
    const told = (name: string): Service => ({ ...service(name), retire: () => void events.push(`retire ${name}`) });
    const three = services(told('log'), service('replica'), told('http'));
    await three.run();
    events.splice(0);
    await three.stop();
    expect(events.slice(0, 3)).to.deep.equal(['retire log', 'retire http', 'drain http']);
  });

  it('are started no further once they are to end, and what is just starting is ended after it has started', async () => {
    let started: () => void = () => {};
    const slow: Service = {
      ...service('log'),
      run: async () => {
        events.push('run log');
        await new Promise<void>((resolve) => {
          started = resolve;
        });
        events.push('run log: done');
      },
    };
    const two = services(slow, service('http'));
    const running = two.run();
    const stopped = two.stop();
    await Promise.resolve();
    expect(events).to.deep.equal(['run log']);
    started();
    await Promise.all([running, stopped]);
    expect(events).to.deep.equal([
      'run log',
      'run log: done',
      'drain log',
      'drain log: done',
      'stop log',
      'stop log: done',
    ]);
  });

  it('are ended once, and whoever asks again waits for the same end', async () => {
    const one = services(service('log'));
    await one.run();
    const first = one.stop();
    await one.stop();
    expect(events.at(-1)).to.equal('stop log: done');
    await first;
    events.splice(0);
    await one.stop();
    expect(events).to.deep.equal([]);
  });
});
