import { Backoff } from '../../kernel/clock.ts';
import type { ReadFrom } from '../log.ts';

/** How far one partition has been read, and whom to ask for more. */
export class PartitionCursor {
  readonly partition: number;
  /** The next offset to hand on. */
  position: number;
  /** Records below this were read: up to the position, or further, when there was a snapshot. */
  knownTo: number;
  /** Of the last record below that; -1: there is none, or it is not known. */
  readEpoch: number;
  /** The next offset to ask for: ahead of the position while an answer is being handed on. */
  fetchOffset: number;
  /** Node id of the leader; undefined while that is not known. */
  leader: number | undefined;
  /** The leader's epoch, as Metadata has it; -1: it does not tell. */
  leaderEpoch = -1;
  /** What was read is to be compared with the leader's epochs before more is read (KIP-320). */
  isUnchecked = false;
  /** Whose answers may still hold something of it: nobody else asks for it meanwhile. */
  holder: object | undefined;
  /** Nothing is asked before, by the monotonic clock. */
  readyAtMs = Number.NEGATIVE_INFINITY;
  /** How often in a row the broker that was asked said that it is not the leader. */
  strayed = 0;
  /** The batch that could not be read the last time, by which one log line is told from its repetitions. */
  unreadable: string | undefined;
  readonly #backoff = new Backoff(250, 10_000);

  constructor(partition: number, { offset, leaderEpoch, knownTo = offset }: ReadFrom) {
    this.partition = partition;
    this.position = offset;
    this.fetchOffset = offset;
    this.knownTo = knownTo;
    this.readEpoch = leaderEpoch;
  }

  /** Takes who leads the partition now. The first one that is heard of is new too, as seen from where reading begins. */
  ledBy(leader: number | undefined, leaderEpoch: number): void {
    if (leaderEpoch !== this.leaderEpoch && this.readEpoch >= 0) this.isUnchecked = true;
    this.leader = leader;
    this.leaderEpoch = leaderEpoch;
  }

  moved(position: number, readEpoch: number): void {
    this.position = position;
    // What is read again has an older epoch than what is known beyond it.
    if (position < this.knownTo) return;
    this.knownTo = position;
    if (readEpoch >= 0) this.readEpoch = readEpoch;
  }

  /** What was asked for beyond the position is not going to be handed on. */
  rewind(): void {
    this.fetchOffset = this.position;
    this.readyAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Asks again, later each time. */
  retryLater(nowMs: number): void {
    this.rewind();
    this.readyAtMs = nowMs + this.#backoff.nextMs();
  }

  /** Something was read. */
  recovered(): void {
    this.strayed = 0;
    this.unreadable = undefined;
    this.#backoff.reset();
  }
}
