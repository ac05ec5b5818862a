import { type Bench, type Measure, median, type PlotPoint } from './bench.ts';
import { askOnce } from './contender.ts';
import { findRedis, type RedisPrograms } from './peers/redis.ts';
import { alternate, ratio } from './rounds.ts';
import type { IndexFigures, StoreFigures, StoreTask } from './store-contender.ts';
import { type RedisFigures, redisFigures } from './store-redis.ts';

const valueBytes = 100;
const withinMs = 300_000;

type Name = StoreTask['contender'];

interface Load {
  readonly keys: number;
  readonly rounds: number;
  readonly contenders: readonly Name[];
  readonly withRedis: boolean;
}

/** A JS Map ends at 2^24 keys, and needs a minute and a heap of its own for ten million. */
const loads: readonly Load[] = [
  {
    keys: 1_000_000,
    rounds: 3,
    contenders: ['arena', 'arena, ordered', 'MapStore', 'JS Map'],
    withRedis: true,
  },
  { keys: 10_000_000, rounds: 1, contenders: ['arena', 'arena, ordered', 'JS Map'], withRedis: true },
  { keys: 20_000_000, rounds: 1, contenders: ['arena', 'arena, ordered'], withRedis: true },
];
const quickLoads: readonly Load[] = [
  { keys: 1_000_000, rounds: 2, contenders: ['arena', 'arena, ordered', 'JS Map'], withRedis: true },
  { keys: 10_000_000, rounds: 1, contenders: ['arena', 'arena, ordered'], withRedis: true },
  { keys: 20_000_000, rounds: 1, contenders: ['arena'], withRedis: false },
];

interface Results {
  readonly keys: number;
  readonly stores: Readonly<Partial<Record<Name, readonly StoreFigures[]>>>;
  readonly redis: readonly RedisFigures[] | undefined;
}

export const store: Bench = {
  name: 'store',
  about: `keys of 15 B and values of ${valueBytes} B, with version and timestamp, each store in a process of its own`,
  async run({ profileFolder, quick }) {
    const redisPrograms = await findRedis();
    const all: Results[] = [];
    for (const load of quick ? quickLoads : loads) all.push(await resultsOf(load, redisPrograms, profileFolder));
    return [...all.flatMap(measuresOf), ...growth(all)];
  },
};

async function resultsOf(
  { keys, rounds, contenders, withRedis }: Load,
  programs: RedisPrograms | undefined,
  profileFolder: string | undefined,
): Promise<Results> {
  const runs: Record<string, () => Promise<StoreFigures | RedisFigures>> = {};
  for (const contender of contenders) {
    runs[contender] = () => figuresOf({ contender, keys, valueBytes }, profileFolder);
  }
  if (withRedis && programs !== undefined) runs.redis = () => redisFigures(programs, { keys, valueBytes });
  const { redis, ...stores } = (await alternate(rounds, runs)) as Record<string, unknown>;
  return { keys, stores: stores as Results['stores'], redis: redis as Results['redis'] };
}

function measuresOf({ keys, stores, redis }: Results): Measure[] {
  const size = `${keys / 1_000_000} M`;
  type Pick = (figures: StoreFigures) => number;
  const every = (what: string, unit: Measure['unit'], pick: Pick, aim?: Measure['aim']): Measure[] =>
    Object.entries(stores).map(([name, all]) => {
      const hasAim = aim !== undefined && name.startsWith('arena');
      return { what: `${size}, ${name}: ${what}`, unit, rounds: all.map(pick), ...(hasAim && { aim }) };
    });
  const said = Object.entries(stores).flatMap(([name, all]): Measure[] => {
    const rounds = all.flatMap(({ saidBytesPerKey }) => saidBytesPerKey ?? []);
    const what = `${size}, ${name}: memory a key that the store tells of`;
    return rounds.length === 0 ? [] : [{ what, unit: 'bytes', rounds }];
  });
  const indexes = (stores['arena, ordered'] ?? []).flatMap(({ index }) => index ?? []);
  const ofIndex = (what: string, unit: Measure['unit'], pick: (index: IndexFigures) => number): Measure[] =>
    indexes.length === 0 ? [] : [{ what: `${size}, arena, ordered: ${what}`, unit, rounds: indexes.map(pick) }];
  const compared = (what: string, above: Name, below: Name, pick: Pick): Measure[] => {
    const [upper, lower] = [stores[above], stores[below]];
    return upper && lower ? [ratio(`${size}, ${what}: ${above} / ${below}`, upper.map(pick), lower.map(pick))] : [];
  };
  const bytes: Pick = ({ bytesPerKey }) => bytesPerKey;
  const inserts: Pick = ({ insertsPerSecond }) => insertsPerSecond;
  const gets: Pick = ({ getsPerSecond }) => getsPerSecond;
  const memory = every('memory a key', 'bytes', bytes, { atMost: 160 }).map((measure, i) => {
    return { ...measure, point: point(Object.keys(stores)[i]!, keys) };
  });
  return [
    ...memory,
    ...said,
    ...every('inserts', 'per second', inserts, { atLeast: 2_000_000 }),
    ...every('gets', 'per second', gets, { atLeast: 1_500_000 }),
    ...every('overwrites', 'per second', ({ overwritesPerSecond }) => overwritesPerSecond),
    ...every('longest insert', 'ms', ({ longestInsertMs }) => longestInsertMs, { atMost: 5 }),
    ...every('longest overwrite', 'ms', ({ longestOverwriteMs }) => longestOverwriteMs, { atMost: 5 }),
    ...ofIndex('memory of the index a key', 'bytes', ({ bytesPerKey }) => bytesPerKey),
    ...ofIndex('building the index', 'ms', ({ buildMs }) => buildMs),
    ...ofIndex('longest step of that', 'ms', ({ longestStepMs }) => longestStepMs),
    ...ofIndex('scanned, pages of 1,000', 'per second', ({ scannedPerSecond }) => scannedPerSecond),
    ...compared('memory', 'JS Map', 'arena', bytes),
    ...compared('memory', 'MapStore', 'arena', bytes),
    ...compared('inserts', 'arena', 'JS Map', inserts),
    ...compared('gets', 'arena', 'JS Map', gets),
    ...(redis === undefined ? [] : redisMeasures(size, keys, redis, stores)),
  ];
}

function redisMeasures(
  size: string,
  keys: number,
  redis: readonly RedisFigures[],
  stores: Results['stores'],
): Measure[] {
  const row = (what: string, unit: Measure['unit'], pick: (figures: RedisFigures) => number): Measure => {
    return { what: `${size}, Redis: ${what}`, unit, rounds: redis.map(pick) };
  };
  const used = row('memory a key, as it counts', 'bytes', ({ usedBytesPerKey }) => usedBytesPerKey);
  const resident = row('memory a key', 'bytes', ({ residentBytesPerKey }) => residentBytesPerKey);
  // The aim is that of ten million keys.
  const aim = keys === 10_000_000 ? { atMost: 0.8 } : undefined;
  const arenas = (['arena', 'arena, ordered'] as const).flatMap((name) => {
    const figures = stores[name];
    if (figures === undefined) return [];
    const bytes = figures.map(({ bytesPerKey }) => bytesPerKey);
    const nameAim = name === 'arena' ? aim : undefined;
    return [
      ratio(`${size}, memory: ${name} / Redis`, bytes, resident.rounds, nameAim),
      ratio(`${size}, memory: ${name} / Redis, as it counts`, bytes, used.rounds, nameAim),
    ];
  });
  return [
    { ...resident, point: point('Redis', keys) },
    used,
    row('inserts, mass insertion', 'per second', ({ insertsPerSecond }) => insertsPerSecond),
    row('GET, 64 connections', 'per second', ({ getsPerSecond }) => getsPerSecond),
    row('SET, 64 connections', 'per second', ({ setsPerSecond }) => setsPerSecond),
    row('GET, 16 in a pipeline', 'per second', ({ pipelinedGetsPerSecond }) => pipelinedGetsPerSecond),
    row('SET, 16 in a pipeline', 'per second', ({ pipelinedSetsPerSecond }) => pipelinedSetsPerSecond),
    ...arenas,
  ];
}

/** What more keys cost: there are more cache misses, and tables are fuller or emptier. */
function growth(all: readonly Results[]): Measure[] {
  const [least, most] = [all.at(0)!, all.at(-1)!];
  return (['arena', 'arena, ordered'] as const).flatMap((name) => {
    const [few, many] = [least.stores[name], most.stores[name]];
    if (few === undefined || many === undefined) return [];
    const from = `${name}, ${least.keys / 1_000_000} M to ${most.keys / 1_000_000} M`;
    const middle = (figures: readonly StoreFigures[], pick: (figures: StoreFigures) => number) =>
      median(figures.map(pick));
    const bytes = ({ bytesPerKey }: StoreFigures): number => bytesPerKey;
    const getNs = ({ getsPerSecond }: StoreFigures): number => 1e9 / getsPerSecond;
    return [
      ratio(`${from}: memory a key`, [middle(many, bytes)], [middle(few, bytes)], { atMost: 1.1 }),
      ratio(`${from}: time of a get`, [middle(many, getNs)], [middle(few, getNs)], { atMost: 2 }),
    ];
  });
}

function point(line: string, keys: number): PlotPoint {
  return { chart: 'memory', line, keys };
}

/** Ten million keys in a JS Map are more than a plain Node.js gives a heap. */
function figuresOf(task: StoreTask, profileFolder: string | undefined): Promise<StoreFigures> {
  const nodeOptions = ['--expose-gc', '--max-old-space-size=12288'];
  return askOnce('store-contender.ts', task, withinMs, profileFolder, nodeOptions);
}
