import { expect } from 'chai';
import fc from 'fast-check';
import { ProducerIds } from '../../../../src/broker/txn/producer-ids.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';

describe('producer ids', () => {
  it('are reserved a thousand at a time, before the first of them is given away', async () => {
    const reserved: number[] = [];
    const ids = new ProducerIds({
      firstUnreservedId: 5_000,
      reserve: async (firstUnreservedId) => {
        reserved.push(firstUnreservedId);
      },
    });
    expect(await ids.next()).to.equal(5_000);
    expect(reserved).to.deep.equal([6_000]);
    for (let id = 5_001; id < 6_000; id += 1) expect(await ids.next()).to.equal(id);
    expect(reserved).to.deep.equal([6_000]);
    expect(await ids.next()).to.equal(6_000);
    expect(reserved).to.deep.equal([6_000, 7_000]);
  });

  it('wait for one reservation, however many are asked for at once', async () => {
    let reserve = (): void => undefined;
    let reservations = 0;
    const ids = new ProducerIds({
      firstUnreservedId: 0,
      reserve: () => {
        reservations += 1;
        return new Promise((resolve) => {
          reserve = resolve;
        });
      },
    });
    const asked = Array.from({ length: 1_000 }, () => ids.next());
    reserve();
    expect(new Set(await Promise.all(asked)).size).to.equal(1_000);
    expect(reservations).to.equal(1);
  });

  it('can be had again once they can be reserved', async () => {
    let isBroken = true;
    const ids = new ProducerIds({
      firstUnreservedId: 0,
      reserve: async () => {
        if (isBroken) throw new Error('the disk is full');
      },
    });
    const both = await Promise.allSettled([ids.next(), ids.next()]);
    for (const each of both) {
      expect(each.status).to.equal('rejected');
      const { reason } = each as PromiseRejectedResult;
      expect(reason).to.be.instanceOf(KafkaError).with.property('error', 'COORDINATOR_LOAD_IN_PROGRESS');
    }
    isBroken = false;
    expect(await ids.next()).to.equal(0);
  });

  it('are never given away twice, whenever the broker crashes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(2_500), { maxLength: 6 }), async (usedPerRun) => {
        const given = new Set<number>();
        let stored = 0;
        for (const used of usedPerRun) {
          const reserve = async (firstUnreservedId: number): Promise<void> => {
            stored = firstUnreservedId;
          };
          const ids = new ProducerIds({ firstUnreservedId: stored, reserve });
          for (let count = 0; count < used; count += 1) {
            const id = await ids.next();
            expect(given.has(id), `${id} again`).to.equal(false);
            given.add(id);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});
