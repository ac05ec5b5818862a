import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { FatalError } from '../kernel/errors.ts';
import { canonicalHostPort } from '../kernel/host-port.ts';
import { flagOf, options } from './options.ts';
import { readOptions, type ValuesOf } from './read-options.ts';

/** How far above the port of the HTTP API that of the Avro socket is, unless it is named. */
const avroPortAbove = 100;

type RawConfig = ValuesOf<typeof options>;

/** What the name of the topic of heartbeats has after that of the database. */
export const membersSuffix = '-members';

/** TLS material, read from the files that the options name. */
export interface KafkaTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
}

export type Config = Omit<RawConfig, 'nodename' | 'brokerList' | 'avroPort'> & {
  readonly brokerList: readonly string[];
  /** Whether this node starts a broker when none answers at `brokerList`: nobody has named one. */
  readonly mayHostBroker: boolean;
  readonly avroPort: number;
  /** `NODENAME:AVRO_PORT`, where binary clients find the Avro socket. */
  readonly avroSocket: string;
  readonly nodename: string;
  /** `NODENAME:API_PORT` as it stands in a URL, so that one node has one id however its name is written. */
  readonly nodeId: string;
  readonly kafkaTls: KafkaTls | undefined;
  readonly kafkaSasl: KafkaSasl | undefined;
};

export type Arguments = { kind: 'run'; config: Config } | { kind: 'help' } | { kind: 'version' };

/**
 * The program's arguments and environment, checked. A flag wins over the environment; an empty variable counts as unset.
 * Throws `FatalError` with one line that names the variable, the value and what was expected.
 */
export function readArguments(argv: readonly string[], environment: NodeJS.ProcessEnv): Arguments {
  const read = readOptions({ table: options, flagOf, argv, environment });
  return read.kind === 'run' ? { kind: 'run', config: complete(read.values) } : read;
}

/** What follows from several options at once. */
function complete(raw: RawConfig): Config {
  if (!raw.allowAnonymous && !isLoopback(raw.apiHost)) {
    throw new FatalError(
      `API_HOST is "${raw.apiHost}", which other machines may reach, and there is no authentication: ` +
        'set ALLOW_ANONYMOUS=true if that is meant',
    );
  }
  if (raw.peers !== undefined && raw.zookeeperHost !== undefined) {
    throw new FatalError(
      'PEERS and ZOOKEEPER_HOST are both set: nodes find each other in one way, so unset one of them',
    );
  }
  const isFoundByTopic = raw.peers === undefined && raw.zookeeperHost === undefined;
  if (isFoundByTopic && raw.kafkaTopic.endsWith(membersSuffix)) {
    const other = raw.kafkaTopic.slice(0, -membersSuffix.length);
    throw new FatalError(
      `KAFKA_TOPIC is "${raw.kafkaTopic}", the topic through which nodes of a database "${other}" find each other: ` +
        'name another one, or have nodes find each other by PEERS or ZOOKEEPER_HOST',
    );
  }
  const avroPort = raw.avroPort ?? raw.apiPort + avroPortAbove;
  if (avroPort > 65_535) {
    throw new FatalError(
      `API_PORT is ${raw.apiPort}, and there is no port ${avroPort} for the Avro socket: set AVRO_PORT`,
    );
  }
  if (avroPort === raw.apiPort) throw new FatalError(`AVRO_PORT and API_PORT are both ${avroPort}: each needs its own`);
  const nodename = raw.nodename ?? (isWildcard(raw.apiHost) ? hostname() : raw.apiHost);
  const inUrl = nodename.includes(':') ? `[${nodename}]` : nodename;
  const nodeId = canonicalHostPort(`${inUrl}:${raw.apiPort}`);
  const avroSocket = canonicalHostPort(`${inUrl}:${avroPort}`);
  // A host name may be what no URL can have, such as digits alone.
  if (nodeId === undefined || avroSocket === undefined)
    throw new FatalError(`other nodes cannot dial ${JSON.stringify(nodename)}: set NODENAME`);
  const kafkaTls = readTls(raw);
  const kafkaSasl = readSasl(raw);
  return {
    ...raw,
    brokerList: raw.brokerList ?? [`localhost:${raw.brokerPort}`],
    // The embedded broker of a node has neither TLS nor users: who asks for them means another.
    mayHostBroker: raw.brokerList === undefined && kafkaTls === undefined && kafkaSasl === undefined,
    avroPort,
    avroSocket,
    nodename,
    nodeId,
    kafkaTls,
    kafkaSasl,
  };
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}

function readTls(raw: RawConfig): KafkaTls | undefined {
  const files = { ca: 'kafkaSslCaFile', cert: 'kafkaSslCertFile', key: 'kafkaSslKeyFile' } as const;
  const tls: Record<string, string> = {};
  for (const [part, name] of Object.entries(files)) {
    const path = raw[name];
    if (path === undefined) continue;
    if (!raw.kafkaSsl) throw new FatalError(`${options[name].env} is set, but KAFKA_SSL is not true`);
    try {
      tls[part] = readFileSync(path, 'utf8');
    } catch (error) {
      throw new FatalError(
        `${options[name].env} is ${JSON.stringify(path)}: expected a readable file (${(error as Error).message})`,
      );
    }
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new FatalError('KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE: expected both or neither');
  }
  return raw.kafkaSsl ? tls : undefined;
}

function readSasl(raw: RawConfig): KafkaSasl | undefined {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = raw;
  if (mechanism === undefined && username === undefined && password === undefined) return undefined;
  if (mechanism === undefined || username === undefined || password === undefined) {
    throw new FatalError(
      'KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: expected all three or none',
    );
  }
  return { mechanism, username, password };
}
