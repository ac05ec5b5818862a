import type { Bench, Measure } from './bench.ts';
import { closedLoop, firstResponse, type LoadResult } from './closed-loop.ts';
import { Contender } from './contender.ts';
import type { HttpTask, Listening, Usage } from './http-contender.ts';
import { keyAt } from './keys.ts';
import { alternate, ratio } from './rounds.ts';

const connections = 64;
const rounds = 5;
const roundMs = 1_200;
const warmUpMs = 1_200;
const startWithinMs = 20_000;
const valueBytes = 100;
/** As many keys, and only those of the second half are asked for: their offsets have five digits, so answers one length. */
const keys = 20_000;
const askedKeys = Array.from({ length: keys / 2 }, (_, i) => keyAt(keys / 2 + i));
const batchKeys = 100;

interface Round extends LoadResult {
  /** Processor time of the server for one request. */
  readonly cpuUs: number;
  /** Of one processor, how much the server used. */
  readonly busy: number;
}

type Name =
  | 'get'
  | 'getSameBytes'
  | 'getBodyOnly'
  | 'getExpress'
  | 'head'
  | 'headSameBytes'
  | 'cluster'
  | 'clusterSameBytes'
  | 'batch';

/** As they stand in the report. */
const titles: Readonly<Record<Name, string>> = {
  get: 'GET, bitacora',
  getSameBytes: 'GET, node:http with the same bytes',
  getBodyOnly: 'GET, node:http with the same body',
  getExpress: 'GET, express with the same body',
  head: 'HEAD, bitacora',
  headSameBytes: 'HEAD, node:http with the same bytes',
  cluster: '/rpc/cluster, bitacora',
  clusterSameBytes: '/rpc/cluster, node:http with the same bytes',
  batch: `batch of ${batchKeys} keys, bitacora`,
};

export const http: Bench = {
  name: 'http',
  about: `reads over HTTP, ${connections} connections with one request each: a node against bare servers of the same answers`,
  async run({ profileFolder }) {
    const contenders: Contender[] = [];
    const start = async (task: HttpTask): Promise<Server> => {
      const contender = new Contender('http-contender.ts', task, profileFolder);
      contenders.push(contender);
      const { port } = await contender.next<Listening>(startWithinMs);
      return { contender, port };
    };
    try {
      const node = await start({ server: 'bitacora', keys, valueBytes });
      const answered = async (request: Buffer) => {
        const { head, body } = await firstResponse(node.port, request);
        return { headers: ownHeaders(head), body: body.toString() };
      };
      const get = await answered(gets[0]!);
      const bodyOnly = { headers: plainHeaders(get.body), body: get.body };
      const sameBytes = await start({ server: 'node:http', ...get });
      const loads: Readonly<Record<Name, readonly [server: Server, requests: readonly Buffer[]]>> = {
        get: [node, gets],
        getSameBytes: [sameBytes, gets],
        getBodyOnly: [await start({ server: 'node:http', ...bodyOnly }), gets],
        getExpress: [await start({ server: 'express', ...bodyOnly }), gets],
        head: [node, heads],
        headSameBytes: [sameBytes, heads],
        cluster: [node, peeks],
        clusterSameBytes: [await start({ server: 'node:http', ...(await answered(peeks[0]!)) }), peeks],
        batch: [node, batches],
      };
      const names = Object.keys(loads) as Name[];
      for (const name of names) await warmUp(...loads[name]);
      const measured = names.map((name) => [name, () => measure(...loads[name])] as const);
      return measuresOf(await alternate(rounds, Object.fromEntries(measured) as Record<Name, () => Promise<Round>>));
    } finally {
      await Promise.all(contenders.map((contender) => contender.end()));
    }
  },
};

interface Server {
  readonly contender: Contender;
  readonly port: number;
}

async function warmUp({ port }: Server, requests: readonly Buffer[]): Promise<void> {
  await closedLoop({ port, connections, durationMs: warmUpMs, requests });
}

async function measure({ contender, port }: Server, requests: readonly Buffer[]): Promise<Round> {
  const before = await contender.ask<Usage>({}, startWithinMs);
  const load = await closedLoop({ port, connections, durationMs: roundMs, requests });
  const after = await contender.ask<Usage>({}, startWithinMs);
  const usedUs = after.cpuUs - before.cpuUs;
  return { ...load, cpuUs: (usedUs * 1_000) / (load.perSecond * roundMs), busy: usedUs / (roundMs * 1_000) };
}

function measuresOf(results: Record<Name, Round[]>): Measure[] {
  const rows = (unit: Measure['unit'], what: string, pick: (round: Round) => number): Measure[] =>
    Object.entries(titles).map(([name, title]) => {
      return { what: `${title}: ${what}`, unit, rounds: results[name as Name].map(pick) };
    });
  const speed = (name: Name) => results[name].map(({ perSecond }) => perSecond);
  const cpu = (name: Name) => results[name].map(({ cpuUs }) => cpuUs);
  const perKey = (figures: readonly number[]) => figures.map((figure) => figure / batchKeys);
  return [
    ...rows('per second', 'requests', ({ perSecond }) => perSecond),
    ...rows('µs', 'latency, p50', ({ p50Us }) => p50Us),
    ...rows('µs', 'latency, p99', ({ p99Us }) => p99Us),
    ...rows('µs', 'processor time of the server a request', ({ cpuUs }) => cpuUs),
    // Where it is well below 1, it was not the server that was measured.
    ...rows('processors', 'used by the server', ({ busy }) => busy),
    ratio('GET: bitacora / node:http with the same bytes', speed('get'), speed('getSameBytes'), { atLeast: 0.95 }),
    ratio('GET: bitacora / node:http with the same body', speed('get'), speed('getBodyOnly')),
    ratio('GET: bitacora / express', speed('get'), speed('getExpress'), { atLeast: 4 }),
    ratio('HEAD: bitacora / node:http with the same bytes', speed('head'), speed('headSameBytes')),
    ratio('/rpc/cluster: bitacora / node:http with the same bytes', speed('cluster'), speed('clusterSameBytes')),
    ratio('GET, processor time: node:http with the same bytes / bitacora', cpu('getSameBytes'), cpu('get')),
    ratio('HEAD, processor time: node:http with the same bytes / bitacora', cpu('headSameBytes'), cpu('head')),
    ratio(
      '/rpc/cluster, processor time: node:http with the same bytes / bitacora',
      cpu('clusterSameBytes'),
      cpu('cluster'),
    ),
    ratio(`keys per second: batch of ${batchKeys} / GET`, speed('batch'), perKey(speed('get'))),
    ratio(`processor time a key: GET / batch of ${batchKeys}`, cpu('get'), perKey(cpu('batch'))),
  ];
}

const gets = askedKeys.map((key) => requestFor('GET', `/rpc?key=${key}`));
const heads = askedKeys.map((key) => requestFor('HEAD', `/rpc?key=${key}`));
const peeks = askedKeys.map((key) => requestFor('GET', `/rpc/cluster?key=${key}`));
const batches = Array.from({ length: askedKeys.length / batchKeys }, (_, i) =>
  requestFor('POST', '/rpc/batch', { keys: askedKeys.slice(i * batchKeys, (i + 1) * batchKeys) }),
);

function requestFor(method: string, target: string, json?: object): Buffer {
  const body = json === undefined ? '' : JSON.stringify(json);
  const fields = json === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  return Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n${body}`);
}

function plainHeaders(body: string): Record<string, string> {
  return { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': String(Buffer.byteLength(body)) };
}

/** All headers of a response but those that node:http adds by itself. */
function ownHeaders(head: string): Record<string, string> {
  const added = new Set(['date', 'connection', 'keep-alive']);
  const lines = head.trimEnd().split('\r\n').slice(1);
  const pairs = lines.map((line): [string, string] => {
    const colon = line.indexOf(': ');
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  return Object.fromEntries(pairs.filter(([name]) => !added.has(name.toLowerCase())));
}
