import type { Heartbeat } from './heartbeat.ts';

/**
 * Who is alive, by when heartbeats are received: other nodes' clocks do not count. A node is silent while heartbeats arrive and
 * its own do not; time in which none arrive at all (the log is down) is nobody's silence.
 */
export class Roster {
  readonly #expireAfterMs: number;
  #seen = new Map<string, { readonly offset: number; readonly silentMs: number }>();

  constructor(expireAfterMs: number) {
    this.#expireAfterMs = expireAfterMs;
  }

  /** The ids of those alive. `elapsedMs`: time since the last call in which the log carried heartbeats. */
  observe(heartbeats: readonly Heartbeat[], elapsedMs: number): string[] {
    const seen = new Map<string, { offset: number; silentMs: number }>();
    for (const { id, offset } of heartbeats) {
      const before = this.#seen.get(id);
      const silentMs = before?.offset === offset ? before.silentMs + elapsedMs : 0;
      seen.set(id, { offset, silentMs });
    }
    this.#seen = seen;
    return [...seen].filter(([, { silentMs }]) => silentMs <= this.#expireAfterMs).map(([id]) => id);
  }
}
