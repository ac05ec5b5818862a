import type { PositionData } from '../avro/wire/database-data.ts';
import { DatabaseError } from './errors.ts';

/** As many as a node takes with a read. */
const partitionsMax = 4_096;

/** How far into each partition a client has seen, by what it has read and written: its reads are not to be older. */
export class SessionPositions {
  readonly #byPartition = new Map<number, { readonly partition: number; position: number }>();
  readonly #list: { readonly partition: number; position: number }[] = [];
  #isIncomplete = false;

  saw(partition: number, position: number): void {
    // Nothing has been seen, or the node is out of its mind: other nodes would not take it.
    if (position <= 0 || partition < 0) return;
    const known = this.#byPartition.get(partition);
    if (known !== undefined) {
      if (position > known.position) known.position = position;
      return;
    }
    if (this.#list.length >= partitionsMax) {
      this.#isIncomplete = true;
      return;
    }
    const first = { partition, position };
    this.#byPartition.set(partition, first);
    this.#list.push(first);
  }

  /**
   * The positions as they are; the array goes on being used, so it is to be encoded at once. Throws a `DatabaseError` when there
   * are more than can be kept: a read that leaves some out would be one of an older state.
   */
  data(): readonly PositionData[] {
    if (this.#isIncomplete) {
      const detail = `A session spans at most ${partitionsMax} partitions: read with another consistency.`;
      throw new DatabaseError('parameter_invalid', detail, 400);
    }
    return this.#list;
  }
}
