/** An entry of Kafka's transaction index: the aborted transactions by their markers' offsets. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly lastOffset: number;
  /** What the last stable offset was once the marker was there: no entry further on begins before it. */
  readonly lastStableOffset: number;
}

/** version 2 | producerId 8 | firstOffset 8 | lastOffset 8 | lastStableOffset 8 */
const entryBytes = 34;
const entryVersion = 0;

export function writeAborted(transactions: readonly AbortedTransaction[]): Buffer {
  const buffer = Buffer.allocUnsafe(transactions.length * entryBytes);
  for (const [index, { producerId, firstOffset, lastOffset, lastStableOffset }] of transactions.entries()) {
    const at = index * entryBytes;
    buffer.writeInt16BE(entryVersion, at);
    buffer.writeBigInt64BE(BigInt(producerId), at + 2);
    buffer.writeBigInt64BE(BigInt(firstOffset), at + 10);
    buffer.writeBigInt64BE(BigInt(lastOffset), at + 18);
    buffer.writeBigInt64BE(BigInt(lastStableOffset), at + 26);
  }
  return buffer;
}

/** Takes bytes whose checksum was right. */
export function readAborted(buffer: Buffer): AbortedTransaction[] {
  const transactions: AbortedTransaction[] = [];
  for (let at = 0; at + entryBytes <= buffer.length; at += entryBytes) {
    transactions.push({
      producerId: Number(buffer.readBigInt64BE(at + 2)),
      firstOffset: Number(buffer.readBigInt64BE(at + 10)),
      lastOffset: Number(buffer.readBigInt64BE(at + 18)),
      lastStableOffset: Number(buffer.readBigInt64BE(at + 26)),
    });
  }
  return transactions;
}

/** Those that have records from `fromOffset` up to, and not including, `endOffset`. `lists`: the segments' entries, in order. */
export function abortedWithin(
  lists: Iterable<readonly AbortedTransaction[]>,
  fromOffset: number,
  endOffset: number,
): AbortedTransaction[] {
  const found: AbortedTransaction[] = [];
  for (const transactions of lists) {
    for (const transaction of transactions) {
      if (transaction.lastOffset >= fromOffset && transaction.firstOffset < endOffset) found.push(transaction);
      if (transaction.lastStableOffset >= endOffset) return found;
    }
  }
  return found;
}
