import type { Bench, Measure } from './bench.ts';
import { closedLoop } from './closed-loop.ts';
import { Contender } from './contender.ts';
import type { Listening } from './http-contender.ts';
import { keyAt } from './keys.ts';
import type { Latencies, LookupTask, Sequential } from './lookup-contender.ts';
import { alternate, ratio } from './rounds.ts';

const rounds = 5;
const roundMs = 1_200;
const startWithinMs = 20_000;
const valueBytes = 100;
/** As in the http bench: only keys whose offsets have five digits are asked for, so that answers have one length. */
const keys = 20_000;
const peerCounts = [1, 2, 4];

export const lookup: Bench = {
  name: 'lookup',
  about:
    'keys that a node has not got: one answered by a peer, and a 404 with 0, 1, 2 and 4 peers; one request at a time',
  async run({ profileFolder }) {
    const contenders: Contender[] = [];
    const start = async (task: LookupTask) => {
      const contender = new Contender('lookup-contender.ts', task, profileFolder);
      contenders.push(contender);
      const { port } = await contender.next<Listening>(startWithinMs);
      return { contender, port, origin: `http://127.0.0.1:${port}`, id: `127.0.0.1:${port}` };
    };
    try {
      const held = Array.from({ length: keys / 2 }, (_, i) => keyAt(keys / 2 + i));
      const requests = held.map(requestFor);
      const missing = held.map((key) => requestFor(`missing-${key}`));
      const node = { role: 'node', keys, valueBytes } as const;
      const peers = await Promise.all(Array.from({ length: Math.max(...peerCounts) }, () => start(node)));
      const [peer] = peers as [Awaited<ReturnType<typeof start>>];
      const empty = await start({ ...node, peers: [peer.id], reads: false });
      const relay = await start({ role: 'relay', origin: peer.origin });
      const alone = await start(node);
      const withPeers = await Promise.all(
        peerCounts.map((count) => start({ ...node, peers: peers.slice(0, count).map(({ id }) => id) })),
      );
      const load = (port: number, what: readonly Buffer[]) => async () => {
        const result = await closedLoop({ port, connections: 1, durationMs: roundMs, requests: what });
        return result as Latencies;
      };
      const inside = (what: Sequential['what']) => () =>
        empty.contender.ask<Latencies>({ what, keys: held, origin: peer.origin } satisfies Sequential, startWithinMs);
      const all = {
        plain: load(peer.port, requests),
        looked: load(empty.port, requests),
        relayed: load(relay.port, requests),
        insideGet: inside('plain GET'),
        insideLookup: inside('look up'),
        missing0: load(alone.port, missing),
        missing1: load(withPeers[0]!.port, missing),
        missing2: load(withPeers[1]!.port, missing),
        missing4: load(withPeers[2]!.port, missing),
      };
      for (const contender of Object.values(all)) await contender();
      return measuresOf(await alternate(rounds, all));
    } finally {
      await Promise.all(contenders.map((contender) => contender.end()));
    }
  },
};

type Name =
  | 'plain'
  | 'looked'
  | 'relayed'
  | 'insideGet'
  | 'insideLookup'
  | 'missing0'
  | 'missing1'
  | 'missing2'
  | 'missing4';

const labels: Readonly<Record<Name, string>> = {
  plain: 'GET at the peer itself',
  looked: 'GET at a node that asks the peer',
  relayed: 'GET at a bare relay to the peer',
  insideGet: 'in the node: plain GET to the peer',
  insideLookup: 'in the node: look-up at the peer',
  missing0: '404 without peers',
  missing1: '404 with 1 peer',
  missing2: '404 with 2 peers',
  missing4: '404 with 4 peers',
};

function measuresOf(results: Record<Name, Latencies[]>): Measure[] {
  const names = Object.keys(labels) as Name[];
  const p50 = (name: Name) => results[name].map(({ p50Us }) => p50Us);
  const p99 = (name: Name) => results[name].map(({ p99Us }) => p99Us);
  return [
    ...names.map((name): Measure => ({ what: `${labels[name]}, p50`, unit: 'µs', rounds: p50(name) })),
    ...names.map((name): Measure => ({ what: `${labels[name]}, p99`, unit: 'µs', rounds: p99(name) })),
    ratio('in the node, p50: look-up / plain GET', p50('insideLookup'), p50('insideGet'), { atMost: 1.5 }),
    ratio('in the node, p99: look-up / plain GET', p99('insideLookup'), p99('insideGet'), { atMost: 1.5 }),
    ratio('by a client, p50: node that asks / the peer itself', p50('looked'), p50('plain'), { atMost: 1.5 }),
    ratio('by a client, p99: node that asks / the peer itself', p99('looked'), p99('plain'), { atMost: 1.5 }),
    ratio('by a client, p50: bare relay / the peer itself', p50('relayed'), p50('plain')),
    ratio('404, p50: 1 peer / none', p50('missing1'), p50('missing0')),
    ratio('404, p50: 2 peers / none', p50('missing2'), p50('missing0')),
    ratio('404, p50: 4 peers / none', p50('missing4'), p50('missing0')),
  ];
}

function requestFor(key: string): Buffer {
  return Buffer.from(`GET /rpc?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
}
