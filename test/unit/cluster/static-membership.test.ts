import { expect } from 'chai';
import { StaticMembership } from '../../../src/cluster/static-membership.ts';
import { contractIds, membershipContract } from '../../support/membership-contract.ts';

describe('static membership', () => {
  membershipContract('a fixed list', {
    abilities: { notices: false, refusesSecond: false, forgets: false },
    makeCluster: async () => {
      const peers: string[] = [...contractIds];
      return {
        makeAdapter: () => new StaticMembership(peers),
        plant: async (entry) => {
          peers.push(entry);
        },
        stop: async () => undefined,
      };
    },
  });

  it('has the whole list at once, whether or not anybody is there', async () => {
    const membership = new StaticMembership(['a.test:1', 'b.test:2', 'b.test:2']);
    await membership.join({ id: 'c.test:3', instance: '1' });
    expect([...membership.members()]).to.deep.equal(['a.test:1', 'b.test:2']);
  });

  it('keeps the list when it leaves', async () => {
    const membership = new StaticMembership(['a.test:1']);
    await membership.join({ id: 'c.test:3', instance: '1' });
    await membership.leave();
    expect([...membership.members()]).to.deep.equal(['a.test:1']);
  });
});
