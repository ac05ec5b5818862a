import { expect } from 'chai';
import { panelsOf } from '../../bench/plot.ts';
import { svgPlot, ticksTo } from '../../bench/svg-plot.ts';

describe('the plot of the benchmarks', () => {
  it('has round numbers at its axes, from zero to the greatest or just beyond', () => {
    expect(ticksTo(10)).to.deep.equal([0, 2, 4, 6, 8, 10]);
    expect(ticksTo(10.1)).to.deep.equal([0, 5, 10, 15]);
    expect(ticksTo(0.3)).to.deep.equal([0, 0.1, 0.2, 0.3]);
    expect(ticksTo(4_400)).to.deep.equal([0, 1_000, 2_000, 3_000, 4_000, 5_000]);
    expect(ticksTo(0)).to.deep.equal([0, 1]);
  });

  it('lays each point where its numbers say, and joins those of a line from left to right', () => {
    const points = [
      { x: 10, y: 5 },
      { x: 0, y: 0 },
      { x: 5, y: 10 },
    ];
    const svg = svgPlot([{ title: 't', xTitle: 'x', yTitle: 'y', lines: [{ name: 'line', points }] }], 'caption');
    const circles = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    const [left, middle, right] = circles as [number[], number[], number[]];
    expect(middle[0]).to.equal((left[0]! + right[0]!) / 2);
    expect(right[1]).to.equal((left[1]! + middle[1]!) / 2);
    expect(svg).to.include(`<path d="M${left.join(' ')}L${middle.join(' ')}L${right.join(' ')}"`);
  });

  it('takes names as text, whatever they have in them', () => {
    const svg = svgPlot([{ title: 'a < b', xTitle: 'x & y', yTitle: '', lines: [] }], '>');
    expect(svg).to.include('a &lt; b').and.include('x &amp; y').and.include('&gt;');
  });

  it('has a line for each store and each reader, in gigabytes and seconds', () => {
    const machine = { processors: 2, processor: 'p', node: 'v' };
    const memory = (line: string, keys: number, median: number) => {
      return { median, point: { chart: 'memory', line, keys } } as const;
    };
    const replay = (line: string, keys: number, median: number) => {
      return { median, point: { chart: 'replay', line, keys } } as const;
    };
    const first = { name: 'store', measures: [memory('arena', 1e6, 160), { median: 7 }, memory('arena', 1e7, 150)] };
    const second = { name: 'replay', measures: [replay('node', 1e6, 500_000)] };
    const third = { name: 'restart', measures: [replay('snapshot', 1e7, 1_500)] };
    const [stores, readers] = panelsOf([
      { machine, benches: [first] },
      { machine, benches: [second, third] },
    ]);
    expect(stores!.lines).to.deep.equal([
      {
        name: 'arena',
        points: [
          { x: 1, y: 0.16 },
          { x: 10, y: 1.5 },
        ],
      },
    ]);
    expect(readers!.lines).to.deep.equal([
      { name: 'node', points: [{ x: 1, y: 2 }] },
      { name: 'snapshot', points: [{ x: 10, y: 1.5 }] },
    ]);
  });
});
