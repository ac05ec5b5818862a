import { canonicalHostPort } from '../kernel/host-port.ts';
import type { MembershipEvent } from './membership.ts';

/** More nodes than one cluster has. Whoever can write to a registry must not be able to have a node ask the whole network. */
export const membersMax = 256;

/** The members that an adapter knows of: checks a registry's entries and tells listeners what changed. */
export class MemberSet {
  #ids: ReadonlySet<string> = new Set();
  #ignored = 0;
  readonly #listeners: ((event: MembershipEvent) => void)[] = [];

  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** Entries of the registry, as last seen, that are no `host:port` or more than there may be. */
  get ignored(): number {
    return this.#ignored;
  }

  subscribe(listener: (event: MembershipEvent) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * From now on `entries` are the members, but for `ownId`. `senseless` more were there that are none by other signs. Where there
   * are more than there may be, those that were members before stay.
   */
  replace(entries: Iterable<string>, ownId: string, senseless = 0): void {
    const before = this.#ids;
    let ignored = senseless;
    const sound = new Set<string>();
    for (const entry of entries) {
      const id = canonicalHostPort(entry);
      if (id === undefined) ignored += 1;
      else if (id !== ownId) sound.add(id);
    }
    const known = [...sound].filter((id) => before.has(id));
    const others = [...sound].filter((id) => !before.has(id));
    this.#ids = new Set([...known, ...others.sort()].slice(0, membersMax).sort());
    this.#ignored = ignored + sound.size - this.#ids.size;
    for (const id of before) if (!this.#ids.has(id)) this.#tell({ kind: 'left', id });
    for (const id of this.#ids) if (!before.has(id)) this.#tell({ kind: 'joined', id });
  }

  /** No event is told any more. */
  silence(): void {
    this.#listeners.length = 0;
  }

  #tell(event: MembershipEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
