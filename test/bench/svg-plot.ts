/** One line of a plot, by what it stands for. */
export interface PlotLine {
  readonly name: string;
  readonly points: readonly PlotPointXy[];
}

export interface PlotPointXy {
  readonly x: number;
  readonly y: number;
}

export interface PlotPanel {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly lines: readonly PlotLine[];
}

const panelWidth = 480;
const panelHeight = 330;
const margin = { left: 64, right: 20, top: 40, bottom: 46 };
const legendLineHeight = 17;
const ticksMost = 6;
/** Told apart by people who see colours differently too (Okabe and Ito). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555', '#000000'];

/** A picture of panels side by side, each with lines over axes that begin at zero, and a legend below it. */
export function svgPlot(panels: readonly PlotPanel[], caption: string): string {
  const linesMost = Math.max(0, ...panels.map(({ lines }) => lines.length));
  const width = panelWidth * Math.max(1, panels.length);
  const height = panelHeight + linesMost * legendLineHeight + 34;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"` +
      ' font-family="sans-serif" font-size="12">',
    `<title>${escaped(panels.map(({ title }) => title).join('; '))}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...panels.map((panel, i) => `<g transform="translate(${i * panelWidth} 0)">\n${panelSvg(panel)}\n</g>`),
    text(caption, { x: width / 2, y: height - 10, anchor: 'middle', fill: '#555555' }),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

/** Round numbers from zero to `most` or beyond, `ticksMost` of them or fewer; the last is where the axis ends. */
export function ticksTo(most: number): number[] {
  if (!(most > 0) || !Number.isFinite(most)) return [0, 1];
  const least = most / (ticksMost - 1);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= least * (1 - 1e-9))!;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

function panelSvg({ title, xTitle, yTitle, lines }: PlotPanel): string {
  const points = lines.flatMap((line) => line.points);
  const [xTicks, yTicks] = [
    ticksTo(Math.max(0, ...points.map(({ x }) => x))),
    ticksTo(Math.max(0, ...points.map(({ y }) => y))),
  ];
  const [left, right] = [margin.left, panelWidth - margin.right];
  const [top, bottom] = [margin.top, panelHeight - margin.bottom];
  const xOf = (x: number): number => tenths(left + ((right - left) * x) / xTicks.at(-1)!);
  const yOf = (y: number): number => tenths(bottom - ((bottom - top) * y) / yTicks.at(-1)!);
  return [
    text(title, { x: panelWidth / 2, y: 22, anchor: 'middle', size: 14 }),
    ...yTicks.flatMap((tick) => [
      `<line x1="${left}" y1="${yOf(tick)}" x2="${right}" y2="${yOf(tick)}" stroke="#dddddd"/>`,
      text(inDigits(tick), { x: left - 6, y: yOf(tick) + 4, anchor: 'end' }),
    ]),
    ...xTicks.flatMap((tick) => [
      `<line x1="${xOf(tick)}" y1="${bottom}" x2="${xOf(tick)}" y2="${bottom + 4}" stroke="#333333"/>`,
      text(inDigits(tick), { x: xOf(tick), y: bottom + 18, anchor: 'middle' }),
    ]),
    `<path d="M${left} ${top}V${bottom}H${right}" fill="none" stroke="#333333"/>`,
    text(xTitle, { x: (left + right) / 2, y: bottom + 38, anchor: 'middle' }),
    `<text transform="translate(16 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(yTitle)}</text>`,
    ...lines.map((line, i) => lineSvg(line, i, xOf, yOf)),
  ].join('\n');
}

function lineSvg(
  { name, points }: PlotLine,
  i: number,
  xOf: (x: number) => number,
  yOf: (y: number) => number,
): string {
  const colour = colours[i % colours.length]!;
  const sorted = points.toSorted((a, b) => a.x - b.x);
  const path = sorted.map(({ x, y }, k) => `${k === 0 ? 'M' : 'L'}${xOf(x)} ${yOf(y)}`).join('');
  const legendY = panelHeight + i * legendLineHeight;
  return [
    `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...sorted.map(({ x, y }) => `<circle cx="${xOf(x)}" cy="${yOf(y)}" r="3.5" fill="${colour}"/>`),
    `<rect x="${margin.left}" y="${legendY}" width="12" height="12" fill="${colour}"/>`,
    text(name, { x: margin.left + 18, y: legendY + 10 }),
  ].join('\n');
}

interface TextPlace {
  readonly x: number;
  readonly y: number;
  readonly anchor?: 'middle' | 'end';
  readonly size?: number;
  readonly fill?: string;
}

function text(content: string, { x, y, anchor, size, fill }: TextPlace): string {
  const attributes = [
    ...(anchor === undefined ? [] : [` text-anchor="${anchor}"`]),
    ...(size === undefined ? [] : [` font-size="${size}"`]),
    ...(fill === undefined ? [] : [` fill="${fill}"`]),
  ];
  return `<text x="${x}" y="${y}"${attributes.join('')}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function inDigits(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 6 });
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
