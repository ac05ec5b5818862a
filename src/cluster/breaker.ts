const failuresToOpen = 5;
const firstOpenMs = 1_000;
const openMsMax = 30_000;

/**
 * A circuit breaker (Nygard, "Release It!"): after several failures in a row a peer is left alone for a while, then asked once,
 * and left alone for twice as long if that fails too. Times are of a monotonic clock, passed in.
 */
export class Breaker {
  #failures = 0;
  #openUntilMs = 0;
  #openMs = 0;
  #trying = false;

  /** Whether the peer may be asked now. After an open time only the first caller is told so, until its request has ended. */
  allows(nowMs: number): boolean {
    if (this.#openMs === 0) return true;
    if (nowMs < this.#openUntilMs || this.#trying) return false;
    this.#trying = true;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openMs = 0;
    this.#trying = false;
  }

  /** The peer has shown signs of life elsewhere: it may be tried at once. Only what it answers to the trial closes the breaker. */
  revived(nowMs: number): void {
    this.#openUntilMs = Math.min(this.#openUntilMs, nowMs);
  }

  failed(nowMs: number, sentAtMs = nowMs): void {
    // A request of before it opened says nothing new.
    if (this.#openMs > 0 && (!this.#trying || sentAtMs < this.#openUntilMs)) return;
    this.#failures += 1;
    this.#trying = false;
    if (this.#failures < failuresToOpen) return;
    this.#openMs = this.#openMs === 0 ? firstOpenMs : Math.min(openMsMax, this.#openMs * 2);
    this.#openUntilMs = nowMs + this.#openMs;
  }

  /** Whether the peer is being left alone, or tried for the first time since. */
  get isOpen(): boolean {
    return this.#openMs > 0;
  }
}
