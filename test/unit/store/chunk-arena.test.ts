import { expect } from 'chai';
import { FatalError } from '../../../src/kernel/errors.ts';
import { ChunkArena } from '../../../src/store/chunk-arena.ts';

describe('chunk arena', () => {
  it('begins small, and doubles up to chunks of the full size', () => {
    const arena = new ChunkArena(1024 * 1024);
    arena.reserve(64);
    expect(arena.capacityBytes).to.equal(64 * 1024);
    for (let i = 0; i < 100; i += 1) arena.reserve(64 * 1024);
    expect(arena.chunkNumberEnd).to.be.below(14);
    expect(arena.capacityBytes).to.be.below(9 * 1024 * 1024);
  });

  it('gives no place twice, and none that is 0', () => {
    const arena = new ChunkArena(1024);
    const places = new Set<number>([0]);
    for (let i = 0; i < 1_000; i += 1) places.add(arena.reserve(8 * (1 + (i % 40))));
    expect(places.size).to.equal(1_001);
  });

  it('frees a chunk once everything in it is given up, and uses its memory again', () => {
    const arena = new ChunkArena(1024);
    const first = arena.reserve(512);
    const second = arena.reserve(512);
    arena.reserve(512);
    const { bytes } = arena.chunkOf(first);
    arena.release(first, 512);
    expect(arena).to.include({ usedBytes: 1_536, deadBytes: 512 });
    arena.release(second, 512);
    expect(arena).to.include({ usedBytes: 512, deadBytes: 0 });
    arena.reserve(512);
    const again = arena.reserve(8);
    expect(arena.chunkOf(again).bytes.buffer).to.equal(bytes.buffer);
  });

  it('keeps the chunk that it fills, be everything in it given up, and frees it when it is full', () => {
    const arena = new ChunkArena(1024);
    const first = arena.reserve(512);
    const chunk = arena.chunkOf(first);
    arena.release(first, 512);
    const second = arena.reserve(512);
    expect(arena.chunkOf(second)).to.equal(chunk);
    arena.release(second, 512);
    arena.reserve(8);
    expect(chunk.isFree).to.equal(true);
    expect(arena).to.include({ usedBytes: 8, deadBytes: 0 });
  });

  it('has a chunk of its own for what is larger than a chunk, and frees it at once', () => {
    const arena = new ChunkArena(1024);
    const small = arena.reserve(8);
    const large = arena.reserve(100_000);
    expect(arena.positionOf(large)).to.equal(0);
    expect(arena.chunkOf(large).capacity).to.equal(100_000);
    expect(arena.chunkOf(arena.reserve(8))).to.equal(arena.chunkOf(small));
    arena.release(large, 100_000);
    expect(arena).to.include({ usedBytes: 16, deadBytes: 0, capacityBytes: 1_024 });
  });

  it('says so when 32 bits reach no further', () => {
    // Two chunks of this size are all there is, and the first has no number.
    const arena = new ChunkArena(2 ** 34);
    arena.reserve(64 * 1024);
    expect(() => arena.reserve(8)).to.throw(FatalError, 'a node holds 16 GiB');
  });
});
