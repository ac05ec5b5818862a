import { expect } from 'chai';
import { Metrics } from '../../../src/kernel/metrics.ts';

describe('metrics', () => {
  let metrics: Metrics;

  beforeEach(() => {
    metrics = new Metrics();
  });

  /** The lines about one metric, its help and type included. */
  async function linesOf(name: string): Promise<string[]> {
    const lines = (await metrics.text()).split('\n');
    return lines.filter((line) => new RegExp(`^(# (HELP|TYPE) )?${name}[ {]`).test(line));
  }

  it('tell a number as it is when somebody asks', async () => {
    let value = 3;
    metrics.gauge({ name: 'things', help: 'How many.', read: () => value });
    metrics.counter({ name: 'events_total', help: 'So far.', read: () => value * 10 });
    expect(await linesOf('things')).to.deep.equal(['# HELP things How many.', '# TYPE things gauge', 'things 3']);
    expect(await linesOf('events_total')).to.deep.equal([
      '# HELP events_total So far.',
      '# TYPE events_total counter',
      'events_total 30',
    ]);
    value = 5;
    expect((await linesOf('things')).at(-1)).to.equal('things 5');
    expect((await linesOf('events_total')).at(-1)).to.equal('events_total 50');
    value = 0;
    expect((await linesOf('events_total')).at(-1)).to.equal('events_total 0');
  });

  it('tell a number for each set of labels, and drop those that are gone', async () => {
    let partitions = ['0', '1'];
    const read = () => partitions.map((partition) => ({ labels: { partition }, value: Number(partition) + 7 }));
    metrics.gauge({ name: 'position', help: 'Where.', labelNames: ['partition'], read });
    metrics.counter({ name: 'reads_total', help: 'How often.', labelNames: ['partition'], read });
    expect((await linesOf('position')).slice(2)).to.deep.equal([
      'position{partition="0"} 7',
      'position{partition="1"} 8',
    ]);
    partitions = ['1'];
    expect((await linesOf('position')).slice(2)).to.deep.equal(['position{partition="1"} 8']);
    expect((await linesOf('reads_total')).slice(2)).to.deep.equal(['reads_total{partition="1"} 8']);
  });

  it('include those of the process, in the text format of Prometheus', async () => {
    expect(await metrics.text()).to.match(/^process_cpu_seconds_total \d/m);
    expect(metrics.contentType).to.match(/^text\/plain; version=0\.0\.4/);
  });

  it('of two registries do not mix', async () => {
    const other = new Metrics();
    other.gauge({ name: 'things', help: 'Others.', read: () => 1 });
    expect(await linesOf('things')).to.deep.equal([]);
  });
});
