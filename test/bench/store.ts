import type { Bench, Measure } from './bench.ts';
import { Contender } from './contender.ts';
import { alternate, ratio } from './rounds.ts';
import type { StoreFigures, StoreTask } from './store-contender.ts';

const valueBytes = 100;
const withinMs = 300_000;

/** Ten million keys in a JS Map are more than a plain Node.js gives a heap, and a round of them takes a minute. */
const loads = [
  { keys: 1_000_000, rounds: 3 },
  { keys: 10_000_000, rounds: 1 },
];

type Pick = (figures: StoreFigures) => number;

export const store: Bench = {
  name: 'store',
  about: `keys of 15 B and values of ${valueBytes} B, with version and timestamp, each store in a process of its own`,
  async run({ profileFolder }) {
    const measures: Measure[] = [];
    for (const { keys, rounds } of loads) {
      const fill = (contender: StoreTask['contender']) => () =>
        figuresOf({ contender, keys, valueBytes }, profileFolder);
      const { arena, ordered, mapStore, map } = await alternate(rounds, {
        arena: fill('arena'),
        ordered: fill('arena, ordered'),
        mapStore: fill('MapStore'),
        map: fill('JS Map'),
      });
      measures.push(
        ...measuresOf(`${keys / 1_000_000} M`, { arena, 'arena, ordered': ordered, MapStore: mapStore, 'JS Map': map }),
      );
    }
    return measures;
  },
};

function measuresOf(
  keys: string,
  results: Readonly<Record<StoreTask['contender'], readonly StoreFigures[]>>,
): Measure[] {
  const { arena, 'arena, ordered': ordered, MapStore: mapStore, 'JS Map': map } = results;
  const every = (what: string, unit: Measure['unit'], pick: Pick, aim?: Measure['aim']): Measure[] =>
    Object.entries(results).map(([name, all]) => {
      const hasAim = aim !== undefined && name.startsWith('arena');
      return { what: `${keys}, ${name}: ${what}`, unit, rounds: all.map(pick), ...(hasAim && { aim }) };
    });
  const index = (what: string, unit: Measure['unit'], pick: Pick): Measure => ({
    what: `${keys}, arena, ordered: ${what}`,
    unit,
    rounds: ordered.map(pick),
  });
  const bytes: Pick = ({ bytesPerKey }) => bytesPerKey;
  const inserts: Pick = ({ insertsPerSecond }) => insertsPerSecond;
  const gets: Pick = ({ getsPerSecond }) => getsPerSecond;
  return [
    ...every('memory a key', 'bytes', bytes, { atMost: 160 }),
    ...every('inserts', 'per second', inserts, { atLeast: 2_000_000 }),
    ...every('gets', 'per second', gets, { atLeast: 1_500_000 }),
    ...every('overwrites', 'per second', ({ overwritesPerSecond }) => overwritesPerSecond),
    ...every('longest insert', 'ms', ({ longestInsertMs }) => longestInsertMs, { atMost: 5 }),
    ...every('longest overwrite', 'ms', ({ longestOverwriteMs }) => longestOverwriteMs, { atMost: 5 }),
    index('memory of the index a key', 'bytes', ({ indexBytesPerKey }) => indexBytesPerKey),
    index('building the index', 'ms', ({ indexMs }) => indexMs),
    index('longest step of that', 'ms', ({ longestIndexStepMs }) => longestIndexStepMs),
    index('scanned, pages of 1,000', 'per second', ({ scannedPerSecond }) => scannedPerSecond),
    ratio(`${keys}, memory: JS Map / arena`, map.map(bytes), arena.map(bytes)),
    ratio(`${keys}, memory: MapStore / arena`, mapStore.map(bytes), arena.map(bytes)),
    ratio(`${keys}, inserts: arena / JS Map`, arena.map(inserts), map.map(inserts)),
    ratio(`${keys}, gets: arena / JS Map`, arena.map(gets), map.map(gets)),
  ];
}

async function figuresOf(task: StoreTask, profileFolder: string | undefined): Promise<StoreFigures> {
  const contender = new Contender('store-contender.ts', task, profileFolder, [
    '--expose-gc',
    '--max-old-space-size=12288',
  ]);
  try {
    return await contender.next<StoreFigures>(withinMs);
  } finally {
    await contender.end();
  }
}
