import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import avsc, { type Type } from 'avsc';
import { expect } from 'chai';
import { javaAvro } from '../../support/avro/java-client.ts';
import {
  captureGolden,
  framesOf,
  type GoldenConnection,
  goldenFrames,
  goldenText,
} from '../../support/avro/java-golden.ts';
import { type Kafka, kafkaName, orSkip, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { NodeProcess } from '../../support/node-process.ts';

/** What the node says to one message, each in its own topic's order: positions and offsets are always the same. */
interface Answer {
  readonly serial: number;
  readonly message: string;
  readonly match?: string;
  readonly isError?: boolean;
  readonly value?: unknown;
}

const originalAnswers: readonly Answer[] = [
  { serial: 2, message: 'setValue', isError: false, value: null },
  { serial: 3, message: 'getValue', isError: false, value: 'valor ñ' },
  { serial: 4, message: 'delete', isError: false, value: null },
  { serial: 5, message: 'getValue', isError: false, value: null },
];

/** The answers to the calls of the series on our protocol, on a topic that has `end` records before. */
function databaseAnswers(end: number): readonly Answer[] {
  const written = (offset: number) => ({ partition: 0, offset, applied: true });
  const read = (value: string, offset: number, position: number, contentType: string | null = null) => ({
    found: { value, partition: 0, offset, expiresAtMs: null, contentType },
    source: 'LOG',
    partition: 0,
    position,
  });
  const keyEmpty = { code: 'key_empty', status: 400 };
  const answers: [message: string, value: unknown][] = [
    ['put', written(end)],
    ['get', read('valor ñ', end, end + 1, 'text/plain')],
    ['get', read('valor ñ', end, end + 1, 'text/plain')],
    ['put', written(end + 1)],
    ['multiPut', [{ 'bitacora.rpc.Written': written(end + 2) }, { 'bitacora.rpc.Failure': keyEmpty }]],
    [
      'multiGet',
      [
        { 'bitacora.rpc.Reading': read('1', end + 2, end + 3) },
        { 'bitacora.rpc.Reading': { found: null, source: 'LOG', partition: 0, position: end + 3 } },
        { 'bitacora.rpc.Failure': keyEmpty },
      ],
    ],
    ['remove', written(end + 3)],
    ['get', keyEmpty],
  ];
  return answers.map(([message, value], index) => ({ serial: index + 2, message, isError: value === keyEmpty, value }));
}

/** As many answers, on a connection on which the first message was understood at once. */
function again(answers: readonly Answer[]): readonly Answer[] {
  return answers.map((answer, index) => ({ ...answer, serial: index + 1, ...(index === 0 && { match: 'BOTH' }) }));
}

/** As many answers, on a connection on which the protocol had to be asked for. */
function first(answers: readonly Answer[]): readonly Answer[] {
  const [shaken, ...others] = answers;
  return [{ serial: 1, message: shaken!.message, match: 'NONE' }, { ...shaken!, match: 'CLIENT' }, ...others];
}

const expected: Readonly<Record<GoldenConnection, readonly Answer[]>> = {
  'original-first': first(originalAnswers),
  'original-again': again(originalAnswers),
  'database-first': first(databaseAnswers(4)),
  'database-again': again(databaseAnswers(8)),
};
const connections = Object.keys(expected) as GoldenConnection[];

describe(`the golden bytes of Avro's Java client, on ${kafkaName}`, () => {
  let kafka: Kafka;
  let node: NodeProcess | undefined;

  before(async function () {
    kafka = await sharedKafka(this);
  });

  beforeEach(async () => {
    // A fresh one: what it remembers of clients and what is in the topic show in its answers.
    node = await NodeProcess.start({ BROKER_LIST: kafka.brokerList, KAFKA_TOPIC: freshTopicName('avro-golden') });
    await node.ready();
  });

  afterEach(async () => {
    await node?.kill();
  });

  it('are what Java sends; else `npx tsx test/support/avro/java-write-golden.ts` and a look at the difference', async function () {
    const program = await orSkip(this, javaAvro());
    const made = (await orSkip(this, captureGolden(program, node!.avroPort))).split('\n');
    const kept = goldenText().split('\n');
    expect(made.filter((line, index) => line !== kept[index])).to.deep.equal([]);
    expect(kept).to.have.length(made.length);
  });

  it('hold handshakes by hash and by protocol, calls without one, and messages of several buffers', () => {
    const first = goldenFrames('database-first');
    expect(first).to.have.length(9);
    expect(first[1]!.includes('"protocol":"Database"')).to.equal(true);
    expect(first[2]!.includes('"protocol"')).to.equal(false);
    expect(goldenFrames('original-again')).to.have.length(4);
    expect(Math.max(...first.map((frame) => frame.readInt32BE(4)))).to.be.greaterThan(1);
  });

  it('are answered, each sent whole', async () => {
    for (const connection of connections) {
      expect(await answersTo(connection, (socket, frame) => void socket.write(frame)), connection).to.deep.equal(
        expected[connection],
      );
    }
  });

  it('are answered alike, sent byte by byte', async () => {
    const byByte = async (socket: Socket, frame: Buffer) => {
      for (const byte of frame) {
        socket.write(Buffer.of(byte));
        await turn();
      }
    };
    for (const connection of connections) {
      expect(await answersTo(connection, byByte), connection).to.deep.equal(expected[connection]);
    }
  });

  it('are all answered, whatever the order, when a connection’s come at once', async () => {
    for (const connection of connections) {
      const wire = await Wire.open(node!.avroPort);
      const frames = goldenFrames(connection);
      wire.socket.write(Buffer.concat(frames));
      const serials: number[] = [];
      for (const _ of frames) serials.push((await wire.answer()).readInt32BE(0));
      expect(serials, connection).to.have.members(frames.map((frame) => frame.readInt32BE(0)));
      wire.socket.destroy();
    }
  });

  it('are answered to the byte where nothing in the answer is by chance', async () => {
    const wire = await Wire.open(node!.avroPort);
    const [hash, text, get, remove, getAgain] = goldenFrames('original-first');
    for (const frame of [hash, text]) {
      wire.socket.write(frame!);
      await wire.answer();
    }
    const answers: string[] = [];
    for (const frame of [get, remove, getAgain]) {
      wire.socket.write(frame!);
      answers.push((await wire.answer()).toString('hex'));
    }
    wire.socket.destroy();
    // Serial, one buffer and its length; no metadata, no error, and the response: a string of 8 bytes, null, and no string.
    expect(answers).to.deep.equal([
      '00000003000000010000000c 00 00 02 10 76616c6f7220c3b1'.replaceAll(' ', ''),
      '000000040000000100000002 00 00'.replaceAll(' ', ''),
      '000000050000000100000003 00 00 00'.replaceAll(' ', ''),
    ]);
  });

  async function answersTo(
    connection: GoldenConnection,
    send: (socket: Socket, frame: Buffer) => void | Promise<void>,
  ): Promise<Answer[]> {
    const wire = await Wire.open(node!.avroPort);
    const answers: Answer[] = [];
    const protocol = connection.startsWith('original') ? 'original' : 'database';
    let shaken = false;
    for (const [index, frame] of goldenFrames(connection).entries()) {
      await send(wire.socket, frame);
      const answer = answerOf(await wire.answer(), { protocol, message: expected[connection][index]!.message, shaken });
      shaken ||= answer.match !== 'NONE';
      answers.push(answer);
    }
    wire.socket.destroy();
    return answers;
  }
});

/** A connection that says what it is told to, and gives answers by their framing. */
class Wire {
  readonly socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #received = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  static async open(port: number): Promise<Wire> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    return new Wire(socket);
  }

  async answer(): Promise<Buffer> {
    for (;;) {
      const [frame] = framesOf(this.#received);
      if (frame !== undefined) {
        this.#received = this.#received.subarray(frame.length);
        return frame;
      }
      const chunk = await this.#chunks.next();
      if (chunk.done) throw new Error('the node has closed the connection');
      this.#received = Buffer.concat([this.#received, chunk.value]);
    }
  }
}

/** `delete` is a message of both: what connection it is of tells which. */
const types = { original: messagesOf('rpc.avpr'), database: messagesOf('database.avpr') };
const handshakes = avsc.Type.forSchema({
  type: 'record',
  name: 'HandshakeResponse',
  fields: [
    { name: 'match', type: { type: 'enum', name: 'Match', symbols: ['BOTH', 'CLIENT', 'NONE'] } },
    { name: 'serverProtocol', type: ['null', 'string'] },
    { name: 'serverHash', type: ['null', { type: 'fixed', name: 'MD5', size: 16 }] },
    { name: 'meta', type: ['null', { type: 'map', values: 'bytes' }] },
  ],
});

interface Asked {
  readonly protocol: keyof typeof types;
  readonly message: string;
  /** Whether there was a handshake before. */
  readonly shaken: boolean;
}

function messagesOf(file: string): readonly { name: string; responseType: Type; errorType: Type }[] {
  const text = readFileSync(new URL(`../../../schemas/${file}`, import.meta.url), 'utf8');
  return avsc.Service.forProtocol(JSON.parse(text)).messages as never;
}

function answerOf(answer: Buffer, { protocol, message, shaken }: Asked): Answer {
  const serial = answer.readInt32BE(0);
  const body = bodyOf(answer);
  const taker = new Taker(body);
  const match = shaken ? {} : { match: taker.take(handshakes).match as string };
  if (match.match === 'NONE') return { serial, message, ...match };
  expect(taker.take(avsc.Type.forSchema({ type: 'map', values: 'bytes' }))).to.deep.equal({});
  const isError: boolean = taker.take(avsc.Type.forSchema('boolean'));
  const { responseType, errorType } = types[protocol].find(({ name }) => name === message)!;
  const value = comparable(taker.take(isError ? errorType : responseType));
  expect(taker.at).to.equal(body.length);
  return { serial, message, ...match, isError, value };
}

class Taker {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  // biome-ignore lint/suspicious/noExplicitAny: of whatever type it is.
  take(type: Type): any {
    const { value, offset } = type.decode(this.#bytes, this.at);
    this.at = offset;
    return value;
  }
}

function bodyOf(frame: Buffer): Buffer {
  const buffers: Buffer[] = [];
  for (let at = 8; at < frame.length; ) {
    const length = frame.readInt32BE(at);
    buffers.push(frame.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return Buffer.concat(buffers);
}

/** Bytes as the text that they are, and nothing of what differs from run to run or is for people. */
function comparable(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString();
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([name]) => name !== 'timestampMs' && name !== 'detail');
  return Object.fromEntries(fields.map(([name, field]) => [name, comparable(field)]));
}
