import { canonicalHostPort } from '../../kernel/host-port.ts';
import type { StoredValue } from '../../store/store.ts';
import type { Self } from '../membership.ts';

/** A node's newest sign of life, as it lies under the node's id in the members' topic. */
export interface Heartbeat {
  readonly id: string;
  readonly instance: string;
  /** The offset of the first heartbeat of this instance; undefined in that one itself. */
  readonly since: number | undefined;
  readonly offset: number;
}

const valueBytesMax = 4_096;

export function formatHeartbeat({ instance, socket }: Self, since: number | undefined): Buffer {
  return Buffer.from(JSON.stringify({ instance, since, socket }));
}

/** undefined for what no node has written: anybody who may write to the topic may write anything. */
export function parseHeartbeat(key: Buffer, stored: StoredValue): Heartbeat | undefined {
  const { latin1, offset } = stored;
  const id = canonicalHostPort(key.toString('latin1'));
  if (id === undefined || latin1.length > valueBytesMax) return undefined;
  try {
    const { instance, since } = (JSON.parse(latin1) ?? {}) as Record<string, unknown>;
    if (typeof instance !== 'string' || instance === '') return undefined;
    if (since !== undefined && (!Number.isSafeInteger(since) || (since as number) < 0)) return undefined;
    return { id, instance, since: since as number | undefined, offset };
  } catch {
    return undefined;
  }
}
