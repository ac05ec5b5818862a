import { expect } from 'chai';
import { FrameAssembler, readRequestHeader } from '../../../src/broker/server/frames.ts';
import { CodecError } from '../../../src/protocol/codecs.ts';
import { KafkaError } from '../../../src/protocol/errors.ts';
import { hasSoundCrc, readHeader, recordBytes, walkRecords } from '../../../src/protocol/record-batch.ts';
import { includesVersion } from '../../../src/protocol/schema.ts';
import { WireError, WireWriter } from '../../../src/protocol/wire.ts';
import { goldenBatches, goldenFrames } from '../../support/protocol/golden.ts';
import { mutated, Random } from '../../support/protocol/mutations.ts';
import { isRequest, servedMessages } from '../../support/protocol/served.ts';

/**
 * `FUZZ_COUNT=1000000` mutates so many frames, `FUZZ_SEED=n` begins with another seed: each frame has a seed of its own, counted up
 * from the first, so that `FUZZ_SEED=n FUZZ_COUNT=1` does one again.
 */
const count = Number(process.env.FUZZ_COUNT ?? 20_000);
const firstSeed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
/** Processor time that one frame may take at most, which is some thousand times what they do take. */
const frameCpuMsMax = 50;
const frameBytesMax = 64 * 1024;
const recordBytesMax = 1024 * 1024;

const requests = new Map(servedMessages.filter(isRequest).map((message) => [message.apiKey, message]));
const requestFrames = goldenFrames().filter(({ message }) => isRequest(message));
const responseFrames = goldenFrames().filter(({ message }) => !isRequest(message));
const batches = [...goldenBatches().values()];

describe('mutated frames', function () {
  this.timeout(60_000 + count);

  it('of requests are read or refused, however they arrive, and what is read can be written again', async () => {
    await eachSeed(count, (random) => {
      const frame = mutated(random.pick(requestFrames).frame, random);
      readRequest(assembled(frame, random));
    });
  });

  it('of responses are read or refused, and what is read can be written again', async () => {
    await eachSeed(Math.ceil(count / 10), (random) => {
      const { message, version, frame } = random.pick(responseFrames);
      readBody(message, version, mutated(frame.subarray(4), random));
    });
  });

  it('of record batches are read or refused, whatever their CRC', async () => {
    await eachSeed(Math.ceil(count / 10), async (random) => {
      const bytes = mutated(random.pick(batches), random);
      const header = readHeader(bytes);
      hasSoundCrc(bytes, 0, header.bytes);
      walkRecords(await recordBytes(bytes, 0, header, recordBytesMax), header.count, () => undefined);
    });
  });

  it('that announce more than is allowed are refused before memory is taken for them', () => {
    const assembler = new FrameAssembler(() => frameBytesMax);
    const length = Buffer.alloc(4);
    length.writeInt32BE(frameBytesMax + 1);
    for (const byte of length.subarray(0, 3)) expect(assembler.push(Buffer.of(byte))).to.deep.equal([]);
    expect(() => assembler.push(length.subarray(3))).to.throw(KafkaError, 'limit');
    expect(() => new FrameAssembler(() => frameBytesMax).push(Buffer.from('ffffffff', 'hex'))).to.throw(KafkaError);
  });
});

/** Runs `act` once for each seed. It may throw what hostile bytes are refused with; anything else tells the seed. */
async function eachSeed(runs: number, act: (random: Random) => Promise<void> | void): Promise<void> {
  const attempt = async (seed: number): Promise<void> => {
    try {
      await act(new Random(seed));
    } catch (error) {
      if (error instanceof WireError || error instanceof CodecError) return;
      throw new Error(`with FUZZ_SEED=${seed} FUZZ_COUNT=1: ${error}`, { cause: error });
    }
  };
  let slowest = { seed: firstSeed, ms: 0 };
  for (let seed = firstSeed; seed < firstSeed + runs; seed += 1) {
    const startMs = performance.now();
    await attempt(seed);
    const ms = performance.now() - startMs;
    if (ms > slowest.ms) slowest = { seed, ms };
  }
  // What else the machine did may have slowed one run down, but not the best of several.
  const cpuMs: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const before = process.cpuUsage();
    await attempt(slowest.seed);
    const { user, system } = process.cpuUsage(before);
    cpuMs.push((user + system) / 1000);
  }
  expect(Math.min(...cpuMs), `processor time in ms of FUZZ_SEED=${slowest.seed} FUZZ_COUNT=1`).to.be.below(
    frameCpuMsMax,
  );
}

/** The frame as it comes out of a connection on which it came in pieces, between two others. */
function assembled(frame: Buffer, random: Random): Buffer {
  const neighbour = Buffer.from('neighbour');
  const stream = Buffer.concat([neighbour, frame, neighbour].flatMap((each) => [lengthOf(each), each]));
  const assembler = new FrameAssembler(() => frameBytesMax);
  const pieceMax = random.pick([1, 3, 16, 1000]);
  const frames: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const piece = stream.subarray(at, at + 1 + random.below(pieceMax));
    // A copy of its own, as a socket hands them out: pieces must not need to lie side by side.
    frames.push(...assembler.push(Buffer.from(piece)));
    at += piece.length;
  }
  if (frames.length !== 3 || !frames[0]!.equals(neighbour) || !frames[2]!.equals(neighbour)) {
    throw new Error(`${frames.length} frames came out, or not the ones that went in`);
  }
  if (!frames[1]!.equals(frame)) throw new Error('another frame came out than went in');
  return frames[1]!;
}

function lengthOf(frame: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(frame.length);
  return length;
}

function readRequest(frame: Buffer): void {
  const { apiKey, version, bodyStart } = readRequestHeader(frame, (key) => requests.get(key));
  const message = requests.get(apiKey)!;
  if (includesVersion(message.versions, version)) readBody(message, version, frame.subarray(bodyStart));
}

function readBody(message: (typeof servedMessages)[number], version: number, body: Buffer): void {
  const value = message.decode(body, version);
  const elements = elementsOf(value);
  if (elements > body.length) throw new Error(`${elements} elements came from ${body.length} bytes`);
  const writer = new WireWriter();
  message.encode(writer, value, version);
  const again = message.decode(writer.finish(), version);
  // Text that is no UTF-8 and a length in more bytes than it needs are written otherwise, but read the same.
  if (JSON.stringify(again) !== JSON.stringify(value)) throw new Error('read otherwise once it was written');
}

function elementsOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return 0;
  const inner = Object.values(value).reduce<number>((sum, each) => sum + elementsOf(each), 0);
  return Array.isArray(value) ? inner + value.length : inner;
}
