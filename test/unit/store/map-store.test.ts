import { MapStore } from '../../../src/store/map-store.ts';
import { storeContract } from '../../support/store-contract.ts';

describe('store contract: map', () => {
  storeContract((tombstoneRetentionMs) => new MapStore(tombstoneRetentionMs));
});
