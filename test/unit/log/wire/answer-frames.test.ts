import { expect } from 'chai';
import fc from 'fast-check';
import { AnswerFrames, AnswerMemory } from '../../../../src/log/wire/answer-frames.ts';
import { WireError } from '../../../../src/protocol/wire.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const mebibyte = 1024 * 1024;

function framesOf(answerBytesMax = 4 * mebibyte) {
  const clock = new FakeClock();
  const memory = new AnswerMemory(clock);
  return { clock, memory, frames: new AnswerFrames({ answerBytesMax, memory }) };
}

function announced(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(length);
  return bytes;
}

/** What a socket does that gets these bytes, `most` of them at a time. */
function feed(frames: AnswerFrames, bytes: Buffer, most = bytes.length): { bytes: Buffer; isPooled: boolean }[] {
  const complete = [];
  for (let at = 0; at < bytes.length; ) {
    const room = frames.room();
    expect(room.length).to.be.greaterThan(0);
    const count = Math.min(most, room.length, bytes.length - at);
    bytes.copy(room, 0, at, at + count);
    complete.push(...frames.took(count));
    at += count;
  }
  return complete;
}

const stream = (answers: readonly Buffer[]): Buffer =>
  Buffer.concat(answers.flatMap((answer) => [announced(answer.length), answer]));

describe('the answers of a connection', () => {
  it('are put together however the bytes come', () => {
    const answer = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 300 }),
      fc.integer({ min: 60_000, max: 200_000 }).map((length) => new Uint8Array(length).fill(length % 251)),
    );
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 5 }), fc.integer({ min: 1, max: 100_000 }), (parts, most) => {
        const answers = parts.map((part) => Buffer.from(part));
        const bytes = stream(answers);
        // Byte by byte where that is not for ever.
        const step = bytes.length > 5_000 ? Math.max(most, 1_000) : (most % 7) + 1;
        const got = feed(framesOf().frames, bytes, step).map(({ bytes: frame }) => frame);
        expect(got.length).to.equal(answers.length);
        for (const [index, frame] of got.entries()) expect(frame.equals(answers[index]!)).to.equal(true);
      }),
      { numRuns: 60 },
    );
  });

  it('keep their bytes when others follow', () => {
    const { frames } = framesOf();
    const small = feed(frames, stream([Buffer.alloc(50, 'a')]))[0]!;
    const large = feed(frames, stream([Buffer.alloc(100_000, 'b')]))[0]!;
    feed(frames, stream([Buffer.alloc(60, 'c'), Buffer.alloc(100_000, 'd')]));
    expect(small.bytes.equals(Buffer.alloc(50, 'a'))).to.equal(true);
    expect(large.bytes.equals(Buffer.alloc(100_000, 'b'))).to.equal(true);
  });

  for (const length of [-1, 0, 3, 1_001, 0x7fff_ffff]) {
    it(`are not taken with a length of ${length} where 1,000 are the limit`, () => {
      const { frames } = framesOf(1_000);
      feed(frames, stream([Buffer.alloc(1_000)]));
      expect(() => feed(frames, announced(length))).to.throw(WireError);
    });
  }

  it('take their memory from buffers that were given back, and from no other', () => {
    const { frames, memory } = framesOf();
    const take = () => feed(frames, stream([Buffer.alloc(mebibyte, 'x')]))[0]!;
    const [first, second] = [take(), take()];
    expect([first.isPooled, second.isPooled]).to.deep.equal([true, true]);
    expect(second.bytes.buffer).not.to.equal(first.bytes.buffer);
    memory.give(first.bytes);
    const third = take();
    expect(third.bytes.buffer).to.equal(first.bytes.buffer);
    expect(take().bytes.buffer).not.to.equal(first.bytes.buffer);
  });

  it('are not in shared memory when they are small: nobody has to give it back', () => {
    const { frames } = framesOf();
    expect(feed(frames, stream([Buffer.alloc(1_000)]))[0]!.isPooled).to.equal(false);
  });

  it('leave two buffers behind at most, and none once nothing large has come for a while', async () => {
    const { clock, memory } = framesOf();
    const taken = [memory.take(100_000), memory.take(200_000), memory.take(300_000)];
    for (const buffer of taken) memory.give(buffer);
    expect(memory.idleBuffers).to.equal(2);
    await clock.pass(60_000);
    expect(memory.idleBuffers).to.equal(0);
  });
});
