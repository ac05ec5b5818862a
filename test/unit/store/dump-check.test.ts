import { expect } from 'chai';
import { DumpCheck } from '../../../src/store/dump-check.ts';
import { keyHash } from '../../../src/store/key-hash.ts';
import { DumpedStore } from '../../support/dumped-store.ts';
import { fill, SnapshotRig } from '../../support/snapshot-rig.ts';

const seed = [7, -8] as const;

describe('check of a dump', () => {
  function dumped(): DumpedStore {
    const store = new SnapshotRig().store(seed);
    fill(store, 'mark');
    return new DumpedStore(store.dump());
  }

  /** The first fault, as text; undefined: there is none. */
  function faultOf({ blocks }: Pick<DumpedStore, 'blocks'>): string | undefined {
    const check = new DumpCheck(keyHash(seed), true);
    for (const { slots, entries } of blocks) {
      const found = check.check(slots, entries);
      if ('what' in found) return `${found.at}: ${found.what}`;
    }
    return undefined;
  }

  it('finds nothing wrong with one, and counts what is in it', () => {
    const dump = dumped();
    expect(dump.blocks.length).to.be.above(4);
    const check = new DumpCheck(keyHash(seed), true);
    for (const { slots, entries, tombstones, keyBytes, valueBytes } of dump.blocks) {
      expect(check.check(slots, entries)).to.deep.equal({ tombstones, keyBytes, valueBytes });
    }
  });

  it('comes to an end whatever bytes there are, and finds most of them wrong', () => {
    const { length } = dumped().blocks[1]!.entries;
    for (let byte = 0; byte < length; byte += 1) {
      for (const put of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
        const dump = dumped();
        dump.blocks[1]!.entries[byte] = put;
        faultOf(dump);
      }
    }
    for (const put of [0x00, 0x80, 0xff]) {
      const dump = dumped();
      dump.blocks[0]!.entries.fill(put);
      expect(faultOf(dump)).to.match(/^0: /);
    }
  });

  it('finds keys twice, in a wrong order or place, with a wrong number, or given up', () => {
    const faults: [what: string, (dump: DumpedStore) => { blocks: DumpedStore['blocks'] }][] = [
      ['has number 0, not', ({ blocks }) => ({ blocks: [blocks[0]!, blocks[0]!] })],
      ['has number', ({ blocks }) => ({ blocks: blocks.slice(1) })],
      ['the slot’s hash is not that of the key', changed(({ slots }) => slots.writeUInt32LE(1, 0))],
      ['an entry begins here', changed(({ slots }) => slots.writeUInt32LE(1, 12))],
      ['was given up', changed(({ entries }) => (entries[0]! |= 1))],
      ['begins here', changed(({ slots }) => slots.writeUInt32LE(slots.readUInt32LE(12) + 1, 12))],
      ['belong to no entry', ({ blocks }) => ({ blocks: [{ ...blocks[0]!, slots: blocks[0]!.slots.subarray(0, 8) }] })],
      ['not whole', ({ blocks }) => ({ blocks: [{ ...blocks[0]!, entries: blocks[0]!.entries.subarray(0, 8) }] })],
    ];
    for (const [what, change] of faults) expect(faultOf(change(dumped())), what).to.contain(what);
  });

  it('finds hashes that go back, and a key that was there before', () => {
    const dump = dumped();
    const check = new DumpCheck(keyHash(seed), false);
    const store = new SnapshotRig({ ordered: false }).store(seed);
    fill(store, 'mark');
    const { blocks } = new DumpedStore(store.dump());
    expect(blocks.length).to.be.above(3);
    expect(check.check(blocks[1]!.slots, blocks[1]!.entries)).to.have.property('keyBytes');
    expect(check.check(blocks[0]!.slots, blocks[0]!.entries)).to.deep.equal({ at: 0, what: 'hashes go back' });
    const same = new DumpCheck(() => 5, false);
    const slots = Buffer.from(blocks[0]!.slots);
    for (let at = 0; at < slots.length; at += 8) slots.writeUInt32LE(5, at);
    expect(same.check(slots, blocks[0]!.entries)).to.have.property('keyBytes');
    expect(same.check(slots, blocks[0]!.entries)).to.deep.equal({ at: 0, what: 'the key was there before' });
    expect(faultOf(dump)).to.equal(undefined);
  });
});

function changed(change: (block: DumpedStore['blocks'][number]) => void): (dump: DumpedStore) => DumpedStore {
  return (dump) => {
    change(dump.blocks[1]!);
    return dump;
  };
}
