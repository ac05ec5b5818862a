import { benchJavaClient, type JavaRates, javaAvro } from '../support/avro/java-client.ts';
import type { JavaProgram } from '../support/kafka/java.ts';
import { Unavailable } from '../support/kafka/unavailable.ts';
import type { AvroLoadRequest, AvroLoadResult, AvroLoadTask } from './avro-load-contender.ts';
import type { AvroNodeTask, Ports } from './avro-node-contender.ts';
import type { Bench, Measure } from './bench.ts';
import { Contender } from './contender.ts';
import type { Usage } from './http-contender.ts';
import { alternate, ratio } from './rounds.ts';

const rounds = 5;
const roundMs = 1_200;
const warmUpMs = 1_200;
const answerWithinMs = 20_000;
const manyInFlight = 64;
const valueBytes = 100;
/** As in the http bench: only keys whose offsets have five digits are asked for, so that answers have one length. */
const keys = 20_000;
const perSecondAim = 150_000;
/** Java needs longer to be at its best, and takes a second of its own before. */
const javaRounds = 2;
const javaSeconds = 3;

/** The callers: each is a process of its own, so that its code is compiled for what it does. */
const callers = {
  http1: { via: 'http', inFlight: 1 },
  httpClient1: { via: 'http client', inFlight: 1 },
  client1: { via: 'client', inFlight: 1 },
  prepared1: { via: 'prepared calls', inFlight: 1 },
  http64: { via: 'http', inFlight: manyInFlight },
  httpClient64: { via: 'http client', inFlight: manyInFlight },
  client64: { via: 'client', inFlight: manyInFlight },
  session64: { via: 'client', inFlight: manyInFlight, consistency: 'session' },
  prepared64: { via: 'prepared calls', inFlight: manyInFlight },
} as const satisfies Record<string, Pick<AvroLoadTask, 'via' | 'inFlight' | 'consistency'>>;

type Name = keyof typeof callers;

const labels: Readonly<Record<Name, string>> = {
  http1: 'HTTP, 1 connection',
  httpClient1: 'HTTP by undici, 1 connection',
  client1: 'Avro client, one call at a time',
  prepared1: 'Avro, prepared calls, one at a time',
  http64: `HTTP, ${manyInFlight} connections`,
  httpClient64: `HTTP by undici, ${manyInFlight} connections`,
  client64: `Avro client, ${manyInFlight} in flight`,
  session64: `Avro client, ${manyInFlight} in flight, session`,
  prepared64: `Avro, prepared calls, ${manyInFlight} in flight`,
};

interface Round extends AvroLoadResult {
  /** Processor time of the server and of the caller for one call. */
  readonly serverCallUs: number;
  readonly callerCallUs: number;
}

export const avro: Bench = {
  name: 'avro',
  about: `get over the Avro socket, on one connection, against GET /rpc?key= over HTTP with keep-alive, at the same node`,
  async run({ profileFolder }) {
    const contenders: Contender[] = [];
    const start = (file: string, task: object): Contender => {
      const contender = new Contender(file, task, profileFolder);
      contenders.push(contender);
      return contender;
    };
    try {
      const node = start('avro-node-contender.ts', { keys, valueBytes } satisfies AvroNodeTask);
      const ports = await node.next<Ports>(answerWithinMs);
      const measures: Partial<Record<Name, () => Promise<Round>>> = {};
      for (const name of Object.keys(callers) as Name[]) {
        const range = { firstKey: keys / 2, keys: keys / 2 };
        const caller = start('avro-load-contender.ts', { ...callers[name], ...ports, ...range } satisfies AvroLoadTask);
        await caller.next(answerWithinMs);
        const load = (durationMs: number) =>
          caller.ask<AvroLoadResult>({ durationMs } satisfies AvroLoadRequest, answerWithinMs);
        await load(warmUpMs);
        measures[name] = () => measure(node, load);
      }
      const results = await alternate(rounds, measures as Record<Name, () => Promise<Round>>);
      return [...measuresOf(results), ...(await javaMeasures(ports))];
    } finally {
      await Promise.all(contenders.map((contender) => contender.end()));
    }
  },
};

async function measure(node: Contender, load: (durationMs: number) => Promise<AvroLoadResult>): Promise<Round> {
  const before = await node.ask<Usage>({}, answerWithinMs);
  const result = await load(roundMs);
  const after = await node.ask<Usage>({}, answerWithinMs);
  const calls = (result.perSecond * roundMs) / 1_000;
  return { ...result, serverCallUs: (after.cpuUs - before.cpuUs) / calls, callerCallUs: result.cpuUs / calls };
}

/** Avro's own Java client; nothing where there is no Java, which is said. */
async function javaMeasures({ avroPort }: Ports): Promise<Measure[]> {
  let program: JavaProgram;
  try {
    program = await javaAvro();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    console.warn(`Avro's Java client is left out: ${error.message}`);
    return [];
  }
  const rates: JavaRates[] = [];
  for (let round = 0; round < javaRounds; round += 1) {
    rates.push(await benchJavaClient(program, { avroPort, seconds: javaSeconds, threads: manyInFlight }));
  }
  const row = (what: string, pick: (rate: JavaRates) => number): Measure => {
    return { what: `Avro's Java client, ${what}: calls`, unit: 'per second', rounds: rates.map(pick) };
  };
  return [
    row('one call at a time', ({ sequentialPerSecond }) => sequentialPerSecond),
    row(`${manyInFlight} threads on one connection`, ({ concurrentPerSecond }) => concurrentPerSecond),
  ];
}

function measuresOf(results: Record<Name, Round[]>): Measure[] {
  const names = Object.keys(callers) as Name[];
  const rows = (unit: Measure['unit'], what: string, pick: (round: Round) => number): Measure[] =>
    names.map((name) => ({ what: `${labels[name]}: ${what}`, unit, rounds: results[name].map(pick) }));
  const speed = (name: Name) => results[name].map(({ perSecond }) => perSecond);
  const cpu = (name: Name) => results[name].map(({ serverCallUs }) => serverCallUs);
  const aim = { atLeast: 3 };
  const figures = rows('per second', 'calls', ({ perSecond }) => perSecond);
  return [
    ...figures.map((figure, i) =>
      names[i] === 'client64' || names[i] === 'prepared64' ? { ...figure, aim: { atLeast: perSecondAim } } : figure,
    ),
    ...rows('µs', 'latency, p50', ({ p50Us }) => p50Us),
    ...rows('µs', 'latency, p99', ({ p99Us }) => p99Us),
    ...rows('µs', 'processor time of the server a call', ({ serverCallUs }) => serverCallUs),
    ...rows('µs', 'processor time of the caller a call', ({ callerCallUs }) => callerCallUs),
    ratio('one at a time: Avro client / HTTP by undici', speed('client1'), speed('httpClient1')),
    ratio(`${manyInFlight} in flight: Avro client / HTTP by undici`, speed('client64'), speed('httpClient64')),
    ratio('one at a time: Avro client / HTTP', speed('client1'), speed('http1')),
    ratio('one at a time: Avro, prepared calls / HTTP', speed('prepared1'), speed('http1')),
    ratio(`${manyInFlight} in flight: Avro client / HTTP`, speed('client64'), speed('http64'), aim),
    ratio(`${manyInFlight} in flight: Avro client, session / HTTP`, speed('session64'), speed('http64')),
    ratio(`${manyInFlight} in flight: Avro, prepared calls / HTTP`, speed('prepared64'), speed('http64'), aim),
    ratio(`${manyInFlight} in flight, processor time of the server: HTTP / Avro`, cpu('http64'), cpu('prepared64')),
  ];
}
