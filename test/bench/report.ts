import { type Aim, type Bench, type Measure, median } from './bench.ts';

export interface BenchReport {
  readonly bench: Bench;
  readonly measures: readonly Measure[];
}

/** One bench: its figures and ratios, the median of each with its spread. */
export function benchTable({ bench, measures }: BenchReport): string {
  const rows = measures.map((measure) => [measure.what, ...figures(measure)]);
  return `${bench.name}: ${bench.about}\n${table(['', 'median', 'min', 'max', ''], rows)}`;
}

/** What was aimed at, and every ratio. */
export function summaryTable(reports: readonly BenchReport[]): string {
  const rows = reports.flatMap(({ bench, measures }) =>
    measures
      .filter(({ unit, aim }) => unit === 'times' || aim !== undefined)
      .map((measure) => {
        return [bench.name, measure.what, ...figures(measure), measure.aim ? aimText(measure.aim, measure.unit) : ''];
      }),
  );
  return `summary\n${table(['', '', 'median', 'min', 'max', '', 'aim'], rows)}`;
}

export function asJson(reports: readonly BenchReport[], machine: object): string {
  const benches = reports.map(({ bench, measures }) => ({
    name: bench.name,
    about: bench.about,
    measures: measures.map(({ what, unit, rounds, aim, point }) => ({
      what,
      unit,
      median: median(rounds),
      min: Math.min(...rounds),
      max: Math.max(...rounds),
      rounds,
      ...(aim === undefined ? {} : { aim }),
      ...(point === undefined ? {} : { point }),
    })),
  }));
  return JSON.stringify({ machine, benches });
}

function figures({ rounds, unit }: Measure): [median: string, min: string, max: string, unit: string] {
  const [middle, min, max] = [median(rounds), Math.min(...rounds), Math.max(...rounds)];
  return [inDigits(middle, unit), inDigits(min, unit), inDigits(max, unit), unit];
}

function aimText(aim: Aim, unit: Measure['unit']): string {
  return 'atLeast' in aim ? `>= ${inDigits(aim.atLeast, unit)}` : `<= ${inDigits(aim.atMost, unit)}`;
}

function inDigits(value: number, unit: Measure['unit']): string {
  if (unit !== 'count' && (unit === 'times' || value < 100)) return value.toFixed(value < 10 ? 2 : 1);
  return Math.round(value).toLocaleString('en-US');
}

/** Columns of text to the left, columns of numbers to the right. */
function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles, ...rows];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const isNumber = (column: number) => titles[column] !== '';
  return lines
    .map((line) =>
      line
        .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}\n`)
    .join('');
}
