import { canonicalHostPort } from '../kernel/host-port.ts';
import { MemberSet } from './member-set.ts';
import type { Membership, MembershipEvent, Self } from './membership.ts';

/** The members that the `PEERS` option names. The same list serves every node: a node's own entry is passed over. */
export class StaticMembership implements Membership {
  readonly registry = 'list';
  readonly #peers: readonly string[];
  readonly #members = new MemberSet();
  #isListed = false;

  constructor(peers: readonly string[]) {
    this.#peers = peers;
  }

  async join({ id }: Self): Promise<void> {
    this.#isListed = this.#peers.some((peer) => canonicalHostPort(peer) === id);
    this.#members.replace(this.#peers, id);
  }

  async withdraw(): Promise<void> {}

  async leave(): Promise<void> {
    this.#members.silence();
  }

  members(): ReadonlySet<string> {
    return this.#members.ids;
  }

  subscribe(listener: (event: MembershipEvent) => void): void {
    this.#members.subscribe(listener);
  }

  get ignoredEntries(): number {
    return this.#members.ignored;
  }

  get isRegistered(): boolean {
    return this.#isListed;
  }
}
