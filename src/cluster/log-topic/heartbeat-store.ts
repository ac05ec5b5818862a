import { MapStore } from '../../store/map-store.ts';
import type { RecordView } from '../../store/store.ts';
import { type Heartbeat, parseHeartbeat } from './heartbeat.ts';

/** Who is told what arrives in the members' topic. */
export interface HeartbeatListener {
  heard(heartbeat: Heartbeat): void;
  /** A tombstone lies under the id. */
  gone(id: string): void;
}

/**
 * The members' topic in memory. Each record is looked at once, when it arrives: what lies in the topic and stays as it is, a
 * million entries of something else, costs nothing more and hides nobody.
 *
 * No entry expires here. Its writer's clock and this node's may be hours apart, so only silence tells that a node is gone.
 */
export class HeartbeatStore extends MapStore {
  readonly #listener: HeartbeatListener;
  readonly #senseless = new Set<string>();

  constructor(listener: HeartbeatListener) {
    super(0);
    this.#listener = listener;
  }

  /** Entries that no node has written. */
  get senseless(): number {
    return this.#senseless.size;
  }

  override put(record: RecordView): boolean {
    if (!super.put({ ...record, expiresAtMs: undefined })) return false;
    const key = keyOf(record);
    const heartbeat = parseHeartbeat(key, this.get(key, 0)!);
    if (heartbeat === undefined) {
      this.#senseless.add(key.toString('latin1'));
    } else {
      this.#senseless.delete(key.toString('latin1'));
      this.#listener.heard(heartbeat);
    }
    return true;
  }

  override delete(record: RecordView, nowMs: number): boolean {
    if (!super.delete(record, nowMs)) return false;
    const name = keyOf(record).toString('latin1');
    this.#senseless.delete(name);
    this.#listener.gone(name);
    return true;
  }

  override clear(): void {
    super.clear();
    this.#senseless.clear();
  }
}

function keyOf({ buffer, keyStart, keyEnd }: RecordView): Buffer {
  return buffer.subarray(keyStart, keyEnd);
}
