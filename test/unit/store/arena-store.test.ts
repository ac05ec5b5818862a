import { ArenaStore } from '../../../src/store/arena-store.ts';
import { keyHash } from '../../../src/store/key-hash.ts';
import { storeContract } from '../../support/store-contract.ts';

const seeded = keyHash([0x01234567, 0x89abcdef]);
const tiny = { chunkBytes: 512, segmentSlots: 8, leafIds: 4 };

describe('store contract: arena', () => {
  storeContract((tombstoneRetentionMs) => new ArenaStore({ tombstoneRetentionMs, hash: seeded, ordered: false }));
});

describe('store contract: arena of tiny chunks and tables', () => {
  storeContract(
    (tombstoneRetentionMs) => new ArenaStore({ tombstoneRetentionMs, hash: seeded, ordered: true, sizes: tiny }),
  );
});

describe('store contract: arena, all hashes equal', () => {
  storeContract(
    (tombstoneRetentionMs) => new ArenaStore({ tombstoneRetentionMs, hash: () => -1, ordered: true, sizes: tiny }),
  );
});
