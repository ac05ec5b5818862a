import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { Group } from '../../../../src/broker/groups/group.ts';
import type { GroupReply, JoinReply, MemberIdentity } from '../../../../src/broker/groups/group-messages.ts';

type Step =
  | { do: 'join'; client: number; protocols: string[]; knowsMemberIds: boolean; forgets: boolean; sessionMs: number }
  | { do: 'sync'; client: number; isStale: boolean }
  | { do: 'heartbeat'; client: number }
  | { do: 'leave'; client: number }
  | { do: 'wait'; ms: number }
  | { do: 'hold' }
  | { do: 'release'; fails: boolean };

const clientsMax = 5;
/** Clients from here on are static members. */
const firstStatic = 3;
const rebalanceMs = 20_000;
const newMemberMs = 60_000;
const sessionsMs = [6_000, 15_000, 45_000];

const anyClient = fc.nat(clientsMax - 1);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      client: anyClient,
      protocols: fc.constantFrom<string[]>(['range'], ['range', 'sticky'], ['sticky', 'range'], ['own']),
      knowsMemberIds: fc.boolean(),
      forgets: fc.boolean(),
      sessionMs: fc.constantFrom(...sessionsMs),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('sync' as const), client: anyClient, isStale: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('heartbeat' as const), client: anyClient }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), client: anyClient }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(30_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('release' as const), fails: fc.boolean() }) },
);

/** Clients that do anything at any time, and what must hold whatever they do. */
class World {
  readonly #group: Group;
  readonly #clients = Array.from({ length: clientsMax }, () => ({ memberId: '', generationId: -1 }));
  readonly #waiting = new Map<number, number>();
  #nowMs = 0;
  #made = 0;
  #held: number[] | undefined;
  /** Writes that the log has not answered. */
  #underWay = 0;

  constructor(initialRebalanceDelayMs: number) {
    this.#group = new Group({ initialRebalanceDelayMs, newMemberJoinTimeoutMs: newMemberMs });
  }

  take(step: Step): void {
    switch (step.do) {
      case 'join':
        this.#join(step);
        break;
      case 'sync':
        this.#sync(step);
        break;
      case 'heartbeat':
        this.#group.heartbeat(this.#identity(step.client), this.#clients[step.client]!.generationId, this.#nowMs);
        break;
      case 'leave':
        this.#group.leave([this.#identity(step.client)], this.#nowMs);
        break;
      case 'wait':
        this.#wait(step.ms);
        break;
      case 'hold':
        this.#held ??= [];
        break;
      case 'release':
        this.#release(step.fails);
    }
    this.#settle();
  }

  /** Everybody falls silent: nobody may be left without an answer, nor the group with anything to wait for. */
  end(): void {
    this.#release(false);
    // The slowest way out: a new member, then rounds of a rebalance in which static members are waited for.
    this.#wait(newMemberMs + 10 * rebalanceMs + 10 * Math.max(...sessionsMs));
    assert.equal(this.#waiting.size, 0, 'somebody is still waiting');
    assert.equal(this.#group.state, 'Empty');
    assert.equal(this.#group.nextDeadlineMs, undefined);
    assert.equal(this.#group.hasPendingMembers, false);
  }

  #join(step: Step & { do: 'join' }): void {
    const client = this.#clients[step.client]!;
    this.#made += 1;
    const identity = step.forgets ? { ...this.#identity(step.client), memberId: '' } : this.#identity(step.client);
    const request = {
      ...identity,
      clientId: 'c',
      clientHost: '/here',
      sessionTimeoutMs: step.sessionMs,
      rebalanceTimeoutMs: rebalanceMs,
      protocolType: 'test',
      protocols: step.protocols.map((name) => ({ name, metadata: Buffer.from(name) })),
      knowsMemberIds: step.knowsMemberIds,
      canSkipAssignment: step.knowsMemberIds,
    };
    assert.ok(client);
    this.#group.join(this.#waiter(step.client), request, `m${this.#made}`, this.#nowMs);
  }

  #sync({ client, isStale }: Step & { do: 'sync' }): void {
    const { generationId } = this.#clients[client]!;
    this.#group.sync(this.#waiter(client), {
      ...this.#identity(client),
      generationId: isStale ? generationId - 1 : generationId,
      protocolType: null,
      protocolName: null,
      assignments: new Map(this.#clients.map(({ memberId }) => [memberId, Buffer.from(memberId)])),
    });
  }

  #identity(client: number): MemberIdentity {
    const groupInstanceId = client >= firstStatic ? `instance ${client}` : null;
    return { memberId: this.#clients[client]!.memberId, groupInstanceId };
  }

  #waiter(client: number): number {
    this.#made += 1;
    this.#waiting.set(this.#made, client);
    return this.#made;
  }

  #wait(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let ticks = 0; ; ticks += 1) {
      const dueMs = this.#group.nextDeadlineMs;
      if (dueMs === undefined || dueMs > untilMs) break;
      assert.ok(ticks < 1_000, 'the group asks for one tick after the other');
      this.#nowMs = Math.max(this.#nowMs, dueMs);
      this.#group.tick(this.#nowMs);
      const nextMs = this.#group.nextDeadlineMs;
      assert.ok(nextMs === undefined || nextMs > this.#nowMs, 'a tick leaves something undone that is due');
      this.#settle();
    }
    this.#nowMs = untilMs;
  }

  #release(fails: boolean): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const ticket of held) {
      this.#underWay -= 1;
      this.#group.written(ticket, fails ? 'NOT_COORDINATOR' : 'NONE', this.#nowMs);
      this.#settle();
    }
  }

  #settle(): void {
    const { replies, writes } = this.#group.takeEffects();
    this.#checkGeneration(replies);
    for (const reply of replies) this.#hear(reply);
    for (const { ticket, snapshot } of writes) {
      assert.equal(snapshot.members.length === 0, snapshot.leaderId === undefined);
      if (this.#held !== undefined) {
        this.#held.push(ticket);
        this.#underWay += 1;
        continue;
      }
      this.#group.written(ticket, 'NONE', this.#nowMs);
      this.#settle();
    }
    this.#checkGroup();
  }

  #hear({ kind, waiter, reply }: GroupReply): void {
    const name = this.#waiting.get(waiter);
    assert.notEqual(name, undefined, 'somebody is answered twice');
    this.#waiting.delete(waiter);
    const client = this.#clients[name!]!;
    if (kind !== 'join') return;
    if (reply.error === 'NONE' || reply.error === 'MEMBER_ID_REQUIRED') client.memberId = reply.memberId;
    if (reply.error === 'UNKNOWN_MEMBER_ID') client.memberId = '';
    if (reply.error === 'NONE') client.generationId = reply.generationId;
  }

  /** Of those who are told of a generation at once, one leads, and the rest know who. */
  #checkGeneration(replies: readonly GroupReply[]): void {
    const joined = replies.filter(({ kind, reply }) => kind === 'join' && reply.error === 'NONE');
    const told = joined.map(({ reply }) => reply as JoinReply);
    for (const { generationId, protocolName, members, memberId } of told) {
      assert.equal(generationId, this.#group.generationId);
      assert.equal(protocolName, this.#group.protocolName);
      if (members.length > 0) assert.equal(memberId, this.#group.leaderId);
    }
    assert.ok(told.filter(({ members }) => members.length > 0).length <= 1, 'two lead');
  }

  #checkGroup(): void {
    const { state, leaderId } = this.#group;
    const members = this.#group.members();
    const ids = members.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const instances = members.flatMap(({ groupInstanceId }) => groupInstanceId ?? []);
    assert.equal(new Set(instances).size, instances.length, 'an instance has two members');
    if (members.length === 0) assert.equal(leaderId, undefined);
    else assert.ok(ids.includes(leaderId!), 'the leader is not a member');
    if (state === 'Empty') assert.equal(members.length, 0);
    if (state === 'Stable' || state === 'CompletingRebalance') {
      assert.notEqual(members.length, 0);
      for (const member of members) {
        assert.ok(
          member.protocols.some(({ name }) => name === this.#group.protocolName),
          'a member does not know the protocol',
        );
      }
    }
    const waiters = members.flatMap(({ join, sync }) => [join ?? [], sync ?? []].flat());
    assert.deepEqual(
      [...this.#waiting.keys()].sort(),
      waiters.sort(),
      'somebody waits of whom the group does not know',
    );
    if (waiters.length > 0 && this.#underWay === 0)
      assert.notEqual(this.#group.nextDeadlineMs, undefined, 'a wait without end');
  }
}

describe('a group, whatever its members do', () => {
  it('has one leader and one generation, and leaves nobody waiting', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 3_000), fc.array(anyStep, { maxLength: 60, size: 'max' }), (delayMs, steps) => {
        const world = new World(delayMs);
        for (const step of steps) world.take(step);
        world.end();
      }),
      { numRuns: 3_000 },
    );
  });
});
