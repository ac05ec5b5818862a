import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Context } from 'mocha';
import type { Membership, MembershipEvent, Self } from '../../src/cluster/membership.ts';
import { FatalError } from '../../src/kernel/errors.ts';

/** Shorter than any test may take, so that nothing runs on behind one that has failed. */
const patienceMs = 50_000;

/** The nodes of each test. */
export const contractIds = ['node-a.test:8082', '10.0.0.2:8083', '[fd00::3]:8084'] as const;

/** What a registry can do; the contract holds an adapter to what its rig declares, and to nothing else. */
export interface MembershipAbilities {
  /** It notices who comes and who goes. */
  readonly notices: boolean;
  /** It refuses a second node of an id. */
  readonly refusesSecond: boolean;
  /** A node can vanish from it without having left. */
  readonly forgets: boolean;
}

/** One registry, empty at first, and the adapters made over it. */
export interface MembershipCluster {
  makeAdapter(onFatal: (error: FatalError) => void): Membership;
  /** Puts an entry into the registry, past every adapter. Called before any adapter is made. */
  plant(entry: string): Promise<void>;
  /** What there is to end a node with, as SIGKILL does. */
  kill?(membership: Membership): Promise<void>;
  /** Resolves when nothing in the registry comes from the killed node any more. */
  forgotten?(membership: Membership, id: string): Promise<void>;
  /** Ends what the rig itself has started, adapters aside. */
  stop(): Promise<void>;
}

export interface MembershipRig {
  readonly abilities: MembershipAbilities;
  /** Calls `context.skip` where there can be no such registry. */
  prepare?(context: Context): Promise<void>;
  makeCluster(): Promise<MembershipCluster>;
}

/** Asks again and again until it is so, or for as long as any test may take. */
export async function until(question: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!(await question())) {
    if (performance.now() > endMs) throw new Error(`never came true: ${question}`);
    await sleep(20);
  }
}

/** A node as its membership sees it, with what was heard of it. */
export class WatchedMember {
  readonly self: Self;
  readonly fatal: FatalError[] = [];
  readonly events: MembershipEvent[] = [];
  /** What the events add up to. */
  readonly told = new Set<string>();
  readonly membership: Membership;

  constructor(self: Self, make: (onFatal: (error: FatalError) => void) => Membership) {
    this.self = self;
    this.membership = make((error) => this.fatal.push(error));
    this.membership.subscribe((event) => {
      this.events.push(event);
      if (event.kind === 'joined') this.told.add(event.id);
      else this.told.delete(event.id);
    });
  }

  get members(): string[] {
    return [...this.membership.members()].sort();
  }

  async sees(...ids: string[]): Promise<void> {
    const wanted = [...ids].sort().join();
    await until(() => this.members.join() === wanted);
  }
}

/** What every adapter must do, whatever its registry is made of. */
export function membershipContract(name: string, { abilities, prepare, makeCluster }: MembershipRig): void {
  describe(`${name}, as any membership`, () => {
    const [a, b, c] = contractIds;
    let cluster: MembershipCluster;
    let watched: WatchedMember[] = [];

    before(async function () {
      await prepare?.(this);
    });

    beforeEach(async () => {
      cluster = await makeCluster();
    });

    afterEach(async () => {
      await Promise.all(watched.map(({ membership }) => membership.leave()));
      watched = [];
      await cluster.stop();
    });

    async function join(id: string): Promise<WatchedMember> {
      const member = new WatchedMember({ id, instance: randomUUID() }, (onFatal) => cluster.makeAdapter(onFatal));
      watched.push(member);
      await member.membership.join(member.self);
      return member;
    }

    it('knows nobody before it has joined', () => {
      const member = new WatchedMember({ id: a, instance: '1' }, (onFatal) => cluster.makeAdapter(onFatal));
      watched.push(member);
      expect(member.members).to.deep.equal([]);
      expect(member.membership.ignoredEntries).to.equal(0);
    });

    it('sees the others and never itself', async () => {
      const all = [await join(a), await join(b), await join(c)];
      for (const member of all) await member.sees(...contractIds.filter((id) => id !== member.self.id));
      for (const { told, self } of all) {
        expect([...told]).to.have.members(contractIds.filter((id) => id !== self.id));
        expect(told).to.not.include(self.id);
      }
      expect(watched.flatMap(({ fatal }) => fatal)).to.deep.equal([]);
    });

    it('tells each change once, when members() has it already', async () => {
      const member = new WatchedMember({ id: a, instance: '1' }, (onFatal) => cluster.makeAdapter(onFatal));
      watched.push(member);
      const seenAtEvent: boolean[] = [];
      member.membership.subscribe(({ kind, id }) =>
        seenAtEvent.push(member.membership.members().has(id) === (kind === 'joined')),
      );
      await member.membership.join(member.self);
      await join(b);
      await join(c);
      await member.sees(b, c);
      expect(seenAtEvent).to.deep.equal([true, true]);
      expect(member.events.map(({ kind, id }) => `${kind} ${id}`)).to.have.members([`joined ${b}`, `joined ${c}`]);
    });

    it('ignores entries that are no host:port, and counts them', async () => {
      await cluster.plant('no-port');
      await cluster.plant('10.0.0.300:8082');
      const member = await join(a);
      await join(b);
      await join(c);
      await member.sees(b, c);
      expect(member.membership.ignoredEntries).to.equal(2);
      expect([...member.told]).to.have.members([b, c]);
    });

    it('may leave twice, or without having joined', async () => {
      const idle = cluster.makeAdapter(() => undefined);
      await idle.leave();
      const member = await join(a);
      await Promise.all([member.membership.leave(), member.membership.leave()]);
      await member.membership.leave();
      expect(member.fatal).to.deep.equal([]);
    });

    if (abilities.notices) {
      it('tells the others that a node has left, and the node itself nothing more', async () => {
        const [first, second, third] = [await join(a), await join(b), await join(c)];
        await first.sees(b, c);
        await third.sees(a, b);
        await second.sees(a, c);
        const before = second.events.length;
        await second.membership.leave();
        await first.sees(c);
        await third.sees(a);
        expect(first.events.at(-1)).to.deep.equal({ kind: 'left', id: b });
        expect([...first.told]).to.deep.equal([c]);
        await third.membership.leave();
        await first.sees();
        expect(second.events).to.have.length(before);
      });
    }

    if (abilities.notices) {
      it('withdraws so that the others see it go, and keeps those that it knows', async () => {
        const [first, second] = [await join(a), await join(b)];
        await first.sees(b);
        await second.sees(a);
        await until(() => first.membership.isRegistered);
        await first.membership.withdraw();
        expect(first.membership.isRegistered).to.equal(false);
        await second.sees();
        expect(first.members).to.deep.equal([b]);
        expect(second.membership.isRegistered).to.equal(true);
      });
    }

    if (abilities.refusesSecond) {
      it('refuses a second node of an id, and keeps the first', async () => {
        const [first, other] = [await join(a), await join(b)];
        await other.sees(a);
        const second = await join(a);
        await second.sees(b);
        await until(() => second.fatal.length > 0);
        const [error] = second.fatal;
        expect(error).to.be.instanceOf(FatalError);
        expect(error!.message).to.include(a).and.to.include('NODENAME').and.not.to.include('\n');
        await second.membership.leave();
        // Whoever comes now reads the registry as it is.
        await (await join(c)).sees(a, b);
        expect(other.events.filter(({ kind }) => kind === 'left')).to.deep.equal([]);
        expect(second.fatal).to.have.length(1);
        expect(first.fatal).to.deep.equal([]);
      });
    }

    if (abilities.forgets) {
      it('forgets a node that was killed', async () => {
        const [first, second] = [await join(a), await join(b)];
        await first.sees(b);
        await cluster.kill!(second.membership);
        await first.sees();
        expect(first.events.at(-1)).to.deep.equal({ kind: 'left', id: b });
      });

      it('lets a node back in that was started again after it was killed', async () => {
        const [other, first] = [await join(b), await join(a)];
        await other.sees(a);
        await cluster.kill!(first.membership);
        const second = await join(a);
        await cluster.forgotten!(first.membership, a);
        await second.sees(b);
        await other.sees(a);
        await second.membership.leave();
        await other.sees();
        expect(second.fatal).to.deep.equal([]);
      });
    }
  });
}
