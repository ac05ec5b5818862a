import { expect } from 'chai';
import { importsOf, readJson, sourceFiles } from './sources.ts';

/**
 * Which room (first folder under src) may import which, beside itself. Data enters at a front end, goes down to the log, comes
 * back through the replica into the store, and is read from there; imports go down the same way and never up.
 */
const rooms: Readonly<Record<string, { mayImport: readonly string[]; because: string }>> = {
  kernel: { mayImport: [], because: 'everything stands on it, so it stands on nothing' },
  config: { mayImport: ['kernel'], because: 'what the options mean is the business of whoever is wired with them' },
  protocol: { mayImport: ['kernel'], because: 'bytes of the wire: the node, the broker and tools share it' },
  store: { mayImport: ['kernel'], because: 'a map without I/O, so that any store can take its place' },
  snapshot: {
    mayImport: ['store', 'kernel'],
    because: 'files of what a store holds; which of them may be resumed from is the replica’s to say',
  },
  log: { mayImport: ['protocol', 'kernel'], because: 'records and offsets; it does not know that they make a map' },
  replica: {
    mayImport: ['snapshot', 'store', 'log', 'kernel'],
    because: 'the only place where the log becomes the map',
  },
  cluster: {
    mayImport: ['replica', 'store', 'log', 'kernel'],
    because: 'membership may live in a topic and a map of its own, but never in the database’s',
  },
  database: {
    mayImport: ['replica', 'cluster', 'store', 'log', 'kernel'],
    because: 'the one door of every front end',
  },
  http: { mayImport: ['database', 'kernel'], because: 'front ends know the database, never each other' },
  avro: { mayImport: ['database', 'kernel'], because: 'front ends know the database, never each other' },
  resp: { mayImport: ['database', 'kernel'], because: 'front ends know the database, never each other' },
  client: {
    mayImport: ['avro', 'kernel'],
    because: 'it runs in other people’s programs and speaks what the front end speaks; of the node it knows nothing',
  },
  broker: {
    mayImport: ['protocol', 'kernel'],
    because: 'the node dials it over TCP like any Kafka, so that every mode exercises one path',
  },
  cli: {
    mayImport: ['config', 'snapshot', 'log', 'protocol', 'kernel'],
    because: 'tools for any Kafka, which need no node; the entry file hands in the programs that they start',
  },
};

/** Packages that one place alone knows, so that another can take its place there. Node.js' own are free unless named. */
const packages: Readonly<Record<string, readonly string[]>> = {
  kafkajs: ['src/log/kafka/', 'src/cli/kafka/'],
  undici: ['src/cluster/peer-http.ts'],
  express: ['src/http/'],
  accepts: ['src/http/'],
  avsc: ['src/avro/', 'src/client/node-connection.ts'],
  pino: ['src/kernel/logger.ts'],
  'pino-pretty': ['src/kernel/logger.ts'],
  'prom-client': ['src/kernel/metrics.ts'],
  snappy: ['src/protocol/', 'src/cli/kafka/compression.ts'],
  'lz4-napi': ['src/protocol/', 'src/cli/kafka/compression.ts'],
  zstddec: ['src/protocol/'],
  '@node-rs/crc32': ['src/protocol/', 'src/broker/storage/checksum.ts', 'src/snapshot/checksum.ts'],
  'node-zookeeper-client': ['src/cluster/zookeeper/'],
};

/** Decided by their arguments alone: no clock, no disk, no socket of Node.js. */
const pure = [
  'src/store/',
  'src/replica/apply.ts',
  'src/replica/topic-guard.ts',
  'src/replica/lag.ts',
  'src/replica/resume.ts',
  'src/log/wire/batch-columns.ts',
  'src/log/wire/fetched-batches.ts',
  'src/log/wire/transaction-filter.ts',
  'src/cluster/lookup-race.ts',
  'src/cluster/breaker.ts',
  'src/cluster/log-topic/claim.ts',
  'src/cluster/log-topic/roster.ts',
  'src/broker/txn/transaction-log.ts',
  'src/broker/txn/transaction-state.ts',
  'src/broker/txn/transaction.ts',
  'src/broker/groups/members.ts',
  'src/broker/groups/group.ts',
];

/** Programs, which wire the rooms together. */
const programs = ['src/main.ts', 'src/cli.ts', 'src/broker-program.ts'];

const files = sourceFiles('src');
const roomOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1];

describe('imports in src', () => {
  it('are all seen, however they are written', () => {
    const text = [
      "import { a } from './a.ts';",
      "import type { B } from '../b/b.ts';",
      "import c, { type C } from 'c';",
      "import * as d from 'd';",
      "import './e.ts';",
      'import {',
      '  f,',
      '  type F,',
      "} from './f.ts';",
      "export { g } from './g.ts';",
      "export * from './h.ts';",
      "export type { I } from './i.ts';",
      "const later = () => import('./j.ts');",
      "const old = require('k');",
      "/** import { l } from './l.ts'; */",
      "// import { m } from './m.ts';",
      "export const text = 'from';",
    ].join('\n');
    const seen = importsOf('src/x/x.ts', text);
    expect(seen.map(({ specifier }) => specifier)).to.have.members([
      './a.ts',
      '../b/b.ts',
      'c',
      'd',
      './e.ts',
      './f.ts',
      './g.ts',
      './h.ts',
      './i.ts',
      './j.ts',
      'k',
    ]);
    expect(seen.filter(({ typeOnly }) => typeOnly).map(({ target }) => target)).to.have.members([
      'src/b/b.ts',
      'src/x/i.ts',
    ]);
  });

  it('have a table in which no room is above itself', () => {
    const above = (room: string, path: readonly string[]): string[] =>
      path.includes(room)
        ? [[...path, room].join(' > ')]
        : (rooms[room]?.mayImport ?? []).flatMap((next) => above(next, [...path, room]));
    expect(Object.keys(rooms).flatMap((room) => above(room, []))).to.deep.equal([]);
    for (const { mayImport } of Object.values(rooms))
      for (const room of mayImport) expect(rooms).to.have.property(room);
  });

  it('are of rooms that the table names: only programs stand beside them', () => {
    expect(files.length).to.be.greaterThan(20);
    const strangers = files.filter(({ path }) => !programs.includes(path) && !((roomOf(path) ?? '') in rooms));
    expect(strangers.map(({ path }) => path)).to.deep.equal([]);
  });

  it('go down only', () => {
    const upward = files
      .filter(({ path }) => !programs.includes(path))
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ target }) => target !== undefined && !isBelow(path, target))
          .map(({ target }) => `${path} imports ${target}`),
      );
    expect(upward).to.deep.equal([]);
  });

  it('name files that are there, with their extension', () => {
    const paths = new Set(files.map(({ path }) => path));
    const targets = files.flatMap(({ imports }) => imports.flatMap(({ target }) => target ?? []));
    expect(targets.filter((target) => !paths.has(target))).to.deep.equal([]);
  });

  it('make no circle, types aside', () => {
    const next = new Map(
      files.map(({ path, imports }) => [
        path,
        imports.filter(({ typeOnly }) => !typeOnly).flatMap(({ target }) => target ?? []),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' > '));
      else if (!done.has(path)) {
        for (const target of next.get(path) ?? []) walk(target, [...trail, path]);
        done.add(path);
      }
    };
    for (const { path } of files) walk(path, []);
    expect(circles).to.deep.equal([]);
  });

  it('keep each package to its place', () => {
    const astray = files.flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier, target }) => target === undefined && !specifier.startsWith('node:'))
        .filter(({ specifier }) => !(packages[specifier] ?? []).some((place) => path.startsWith(place)))
        .map(({ specifier }) => `${path} imports ${specifier}`),
    );
    expect(astray).to.deep.equal([]);
  });

  it('are why each package is a dependency', () => {
    const used = new Set(files.flatMap(({ imports }) => imports.map(({ specifier }) => specifier)));
    const declared = Object.keys(readJson('package.json').dependencies as object);
    expect(declared).to.have.members(Object.keys(packages));
    expect(declared.filter((name) => !used.has(name))).to.deep.equal([]);
  });

  it('bring nothing of Node.js into what is decided by its arguments', () => {
    for (const place of pure)
      expect(
        files.some(({ path }) => path.startsWith(place)),
        place,
      ).to.equal(true);
    const impure = files
      .filter(({ path }) => pure.some((place) => path.startsWith(place)))
      .filter(({ imports }) => imports.some(({ specifier }) => specifier.startsWith('node:')));
    expect(impure.map(({ path }) => path)).to.deep.equal([]);
  });
});

function isBelow(path: string, target: string): boolean {
  const [room, other] = [roomOf(path), roomOf(target)];
  return other !== undefined && (room === other || (rooms[room ?? '']?.mayImport.includes(other) ?? false));
}
