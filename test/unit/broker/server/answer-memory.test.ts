import { expect } from 'chai';
import { AnswerMemory } from '../../../../src/broker/server/answer-memory.ts';

describe('memory for answers', () => {
  it('is given as asked while there is enough', () => {
    const memory = new AnswerMemory({ bytesMax: 1_000, leastBytes: 10 });
    const [one, other] = [memory.reserve(400), memory.reserve(600)];
    expect([one.bytes, one.isShort, other.bytes, other.isShort]).to.deep.equal([400, false, 600, false]);
    expect(memory.usedBytes).to.equal(1_000);
  });

  it('is given by what is left, and a little when nothing is', () => {
    const memory = new AnswerMemory({ bytesMax: 1_000, leastBytes: 10 });
    memory.reserve(900);
    const [short, least, small] = [memory.reserve(400), memory.reserve(400), memory.reserve(5)];
    expect([short.bytes, short.isShort]).to.deep.equal([100, true]);
    expect([least.bytes, least.isShort]).to.deep.equal([10, true]);
    expect([small.bytes, small.isShort]).to.deep.equal([5, false]);
  });

  it('comes back: what an answer does not need at once, the rest when it was sent', () => {
    const memory = new AnswerMemory({ bytesMax: 1_000, leastBytes: 10 });
    const room = memory.reserve(1_000);
    room.keep(300);
    expect(memory.usedBytes).to.equal(300);
    room.free();
    room.free();
    expect(memory.usedBytes).to.equal(0);
  });

  it('counts an answer whose first batch is larger than its room', () => {
    const memory = new AnswerMemory({ bytesMax: 1_000, leastBytes: 10 });
    const room = memory.reserve(1_000);
    room.keep(5_000);
    expect(memory.usedBytes).to.equal(5_000);
    expect(memory.reserve(100).bytes).to.equal(10);
    room.free();
    expect(memory.reserve(100).bytes).to.equal(100);
  });
});
