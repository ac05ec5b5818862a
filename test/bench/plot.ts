import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { PlotPoint } from './bench.ts';
import { type PlotPanel, svgPlot } from './svg-plot.ts';

const svgPath = fileURLToPath(new URL('../../docs/benchmarks.svg', import.meta.url));

/** What `asJson` writes, as far as a plot needs it. */
export interface SavedRun {
  readonly machine: { readonly processors: number; readonly processor: string; readonly node: string };
  readonly benches: ReadonlyArray<{
    readonly name: string;
    readonly measures: ReadonlyArray<{ readonly median: number; readonly point?: PlotPoint }>;
  }>;
}

/** Draws docs/benchmarks.svg from what `--json` has printed, one file or several. Answers its path. */
export async function plot(paths: readonly string[]): Promise<string> {
  const runs: SavedRun[] = [];
  for (const path of paths) runs.push(JSON.parse(await readFile(path, 'utf8')) as SavedRun);
  const { processors, processor, node } = runs[0]!.machine;
  await writeFile(svgPath, svgPlot(panelsOf(runs), `${processors} processors (${processor}), Node ${node}`));
  return svgPath;
}

/** Memory in GB by keys, and the seconds until a topic of as many keys is in memory. */
export function panelsOf(runs: readonly SavedRun[]): PlotPanel[] {
  const xTitle = 'million keys (15 B, and values of 100 B)';
  return [
    {
      title: 'Memory',
      xTitle,
      yTitle: 'GB resident',
      lines: linesOf(runs, 'memory', (bytesPerKey, keys) => (bytesPerKey * keys) / 1e9),
    },
    { title: 'Until a topic is in memory', xTitle, yTitle: 'seconds', lines: linesOf(runs, 'replay', secondsOf) },
  ];
}

function secondsOf(median: number, keys: number, benchName: string): number {
  // The replay bench counts records by the second, the restart bench milliseconds.
  return benchName === 'restart' ? median / 1_000 : keys / median;
}

function linesOf(
  runs: readonly SavedRun[],
  chart: PlotPoint['chart'],
  yOf: (median: number, keys: number, benchName: string) => number,
): PlotPanel['lines'] {
  const lines = new Map<string, { x: number; y: number }[]>();
  for (const { name, measures } of runs.flatMap(({ benches }) => benches)) {
    for (const { median, point } of measures) {
      if (point?.chart !== chart) continue;
      const points = lines.get(point.line) ?? [];
      points.push({ x: point.keys / 1e6, y: yOf(median, point.keys, name) });
      lines.set(point.line, points);
    }
  }
  return [...lines].map(([name, points]) => ({ name, points }));
}
