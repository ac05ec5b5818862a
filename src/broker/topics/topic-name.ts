/** Topics of the broker's own, by Kafka's names: clients read them, and do not write to them. */
export const offsetsTopic = '__consumer_offsets';
export const transactionsTopic = '__transaction_state';

export function isInternalTopic(name: string): boolean {
  return name === offsetsTopic || name === transactionsTopic;
}

/** What Kafka takes as a name; it becomes the name of a folder, so nothing else may pass. */
export function isTopicName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..';
}

/** Kafka refuses names that differ in `.` and `_` alone, because they are one in the names of metrics. */
export function collisionOf(name: string, existing: Iterable<string>): string | undefined {
  const plain = name.replaceAll('.', '_');
  for (const other of existing) if (other !== name && other.replaceAll('.', '_') === plain) return other;
  return undefined;
}
