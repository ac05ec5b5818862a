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

interface Round extends LoadResult {
  /** Processor time of the server for one request. */
  readonly cpuUs: number;
  /** Of one processor, how much the server used. */
  readonly busy: number;
}

export const http: Bench = {
  name: 'http',
  about: `GET /rpc?key=, ${connections} connections with one request each: a node against bare servers of the same body`,
  async run({ profileFolder }) {
    const requests = Array.from({ length: keys / 2 }, (_, i) => requestFor(keyAt(keys / 2 + i)));
    const contenders: Contender[] = [];
    const start = async (task: HttpTask) => {
      const contender = new Contender('http-contender.ts', task, profileFolder);
      contenders.push(contender);
      const { port } = await contender.next<Listening>(startWithinMs);
      await closedLoop({ port, connections, durationMs: warmUpMs, requests });
      return { port, measure: () => measure(contender, port, requests) };
    };
    try {
      const bitacora = await start({ server: 'bitacora', keys, valueBytes });
      const { head, body } = await firstResponse(bitacora.port, requests[0]!);
      const same = { headers: plainHeaders(body), body: body.toString() };
      const bare = await start({ server: 'node:http', ...same });
      const bareAllHeaders = await start({ server: 'node:http', headers: ownHeaders(head), body: same.body });
      const express = await start({ server: 'express', ...same });
      return measuresOf(
        await alternate(rounds, {
          bitacora: bitacora.measure,
          bare: bare.measure,
          bareAllHeaders: bareAllHeaders.measure,
          express: express.measure,
        }),
      );
    } finally {
      await Promise.all(contenders.map((contender) => contender.end()));
    }
  },
};

async function measure(contender: Contender, port: number, requests: readonly Buffer[]): Promise<Round> {
  const before = await contender.ask<Usage>({}, startWithinMs);
  const load = await closedLoop({ port, connections, durationMs: roundMs, requests });
  const after = await contender.ask<Usage>({}, startWithinMs);
  const usedUs = after.cpuUs - before.cpuUs;
  return { ...load, cpuUs: (usedUs * 1_000) / (load.perSecond * roundMs), busy: usedUs / (roundMs * 1_000) };
}

function measuresOf(results: Record<'bitacora' | 'bare' | 'bareAllHeaders' | 'express', Round[]>): Measure[] {
  const servers = [
    ['bitacora', results.bitacora],
    ['node:http', results.bare],
    ['node:http, same headers', results.bareAllHeaders],
    ['express', results.express],
  ] as const;
  const rows = (unit: Measure['unit'], what: string, pick: (round: Round) => number): Measure[] =>
    servers.map(([name, all]) => ({ what: `${name}: ${what}`, unit, rounds: all.map(pick) }));
  const speed = (all: readonly Round[]) => all.map(({ perSecond }) => perSecond);
  const cpu = (all: readonly Round[]) => all.map(({ cpuUs }) => cpuUs);
  return [
    ...rows('per second', 'requests', ({ perSecond }) => perSecond),
    ...rows('µs', 'latency, p50', ({ p50Us }) => p50Us),
    ...rows('µs', 'latency, p99', ({ p99Us }) => p99Us),
    ...rows('µs', 'processor time of the server a request', ({ cpuUs }) => cpuUs),
    ...rows('processors', 'used by the server', ({ busy }) => busy),
    ratio('bitacora / node:http', speed(results.bitacora), speed(results.bare), { atLeast: 0.9 }),
    ratio('bitacora / node:http with the same headers', speed(results.bitacora), speed(results.bareAllHeaders)),
    ratio('bitacora / express', speed(results.bitacora), speed(results.express)),
    ratio('processor time a request: node:http / bitacora', cpu(results.bare), cpu(results.bitacora)),
  ];
}

function requestFor(key: string): Buffer {
  return Buffer.from(`GET /rpc?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
}

function plainHeaders(body: Buffer): Record<string, string> {
  return { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': String(body.length) };
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
