import { AvroServer } from '../../../src/avro/avro-server.ts';
import type { Database } from '../../../src/database/database.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { keepingLogger, orderedStore, ReplicaRig } from '../replica-rig.ts';
import { type CallAnswer, ClientProtocol, ownJson } from './avro-bytes.ts';
import { AvroSocket } from './avro-socket.ts';

export const originalProtocol = new ClientProtocol(ownJson('rpc.avpr'));
export const databaseProtocol = new ClientProtocol(ownJson('database.avpr'));

export interface AvroRigOptions {
  readonly partitions?: number;
  readonly valueBytesMax?: number;
  /** Whether there may be scans; false by default. */
  readonly ordered?: boolean;
}

/** The Avro server at any free port, over a database whose log and clock a test has in hand. Of its clock nothing passes by itself. */
export class AvroRig {
  readonly replica: ReplicaRig;
  readonly database: Database;
  readonly server: AvroServer;
  readonly metrics = new Metrics({ process: false });
  /** What was logged at the levels warn and error. */
  readonly #lines: string[] = [];
  readonly #sockets: AvroSocket[] = [];

  private constructor({ partitions = 1, valueBytesMax = 1024, ordered = false }: AvroRigOptions) {
    this.replica = new ReplicaRig({ partitions, ...(ordered && { store: orderedStore() }) });
    this.database = this.replica.database({ valueBytesMax, readTimeoutMs: 3_000, writeTimeoutMs: 5_000 });
    this.server = new AvroServer({
      database: this.database,
      host: '127.0.0.1',
      port: 0,
      clock: this.replica.clock,
      logger: keepingLogger(this.#lines),
      metrics: this.metrics,
    });
  }

  static async start(options: AvroRigOptions = {}): Promise<AvroRig> {
    const rig = new AvroRig(options);
    await rig.replica.createTopic();
    await rig.replica.run();
    await rig.server.run();
    return rig;
  }

  get port(): number {
    return this.server.port;
  }

  get complaints(): string[] {
    return this.#lines.filter((line) => line.startsWith('warn') || line.startsWith('error'));
  }

  /** A connection that has said nothing yet. */
  async open(): Promise<AvroSocket> {
    const socket = await AvroSocket.open(this);
    this.#sockets.push(socket);
    return socket;
  }

  /** A connection that has shaken hands. */
  async client(protocol: ClientProtocol = databaseProtocol): Promise<AvroClient> {
    const socket = await this.open();
    socket.ask(0, protocol.opening({ withText: true }), Buffer.from([0, 0]));
    protocol.answerTo('', (await socket.answer()).body, { afterHandshake: true });
    return new AvroClient(socket, protocol);
  }

  /** The sample of a metric whose line begins so; undefined when there is none. */
  async metric(beginning: string): Promise<number | undefined> {
    const line = (await this.metrics.text()).split('\n').find((candidate) => candidate.startsWith(`${beginning} `));
    return line === undefined ? undefined : Number(line.slice(beginning.length + 1));
  }

  closings(reason: string): Promise<number | undefined> {
    return this.metric(`bitacora_avro_connections_closed_total{reason="${reason}"}`);
  }

  calls(message: string, outcome: string): Promise<number | undefined> {
    return this.metric(`bitacora_avro_calls_total{message="${message}",outcome="${outcome}"}`);
  }

  /** How many records the log has in partition 0. */
  async logged(): Promise<number> {
    return (await this.replica.log.inner.ends())[0]!.end;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.server.stop();
    this.replica.log.releaseReader();
    await this.replica.replica.stop();
  }
}

/** A connection past its handshake. */
export class AvroClient {
  readonly socket: AvroSocket;
  readonly #protocol: ClientProtocol;
  readonly #asked = new Map<number, string>();
  #serial = 0;

  constructor(socket: AvroSocket, protocol: ClientProtocol) {
    this.socket = socket;
    this.#protocol = protocol;
  }

  /** Sends a call and answers its serial. */
  send(name: string, parameters: object): number {
    const [serial, body] = this.#next(name, parameters);
    this.socket.ask(serial, body);
    return serial;
  }

  /** The next answer, to whichever call. */
  async next(): Promise<CallAnswer & { readonly serial: number }> {
    const { serial, body } = await this.socket.answer();
    return { serial, ...this.#protocol.answerTo(this.#asked.get(serial)!, body) };
  }

  /** A call by itself. */
  async call(name: string, parameters: object): Promise<CallAnswer> {
    const serial = this.send(name, parameters);
    const { serial: answered, ...answer } = await this.next();
    if (answered !== serial) throw new Error(`${answered} was answered, ${serial} was asked`);
    return answer;
  }

  /** What a call by itself answers; throws what it failed with. */
  async value(name: string, parameters: object): Promise<unknown> {
    const { error, value } = await this.call(name, parameters);
    if (error !== undefined) throw new Error(`${name} failed: ${JSON.stringify(error)}`);
    return value;
  }

  /** The error of a call by itself; throws when it succeeds. */
  async failure(name: string, parameters: object): Promise<unknown> {
    const { error, value } = await this.call(name, parameters);
    if (error === undefined) throw new Error(`${name} answered ${JSON.stringify(value)}`);
    return error;
  }

  #next(name: string, parameters: object): [serial: number, body: Buffer] {
    this.#serial += 1;
    this.#asked.set(this.#serial, name);
    return [this.#serial, this.#protocol.call(name, parameters)];
  }
}
