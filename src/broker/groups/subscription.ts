import { WireError, WireReader } from '../../protocol/wire.ts';

/** Groups of consumers, of whose metadata a broker may know the beginning; that of all others is the clients' own business. */
export const consumerProtocolType = 'consumer';

/** The topics that the members subscribe to together; undefined: one of them says something that no consumer would. */
export function subscribedTopics(metadata: readonly Buffer[]): ReadonlySet<string> | undefined {
  const topics = new Set<string>();
  for (const each of metadata) if (!addTopics(each, topics)) return undefined;
  return topics;
}

/** What stands at the start of every version of Kafka's consumer protocol is the version and the names of the topics. */
function addTopics(metadata: Buffer, topics: Set<string>): boolean {
  try {
    const reader = new WireReader(metadata);
    if (reader.int16() < 0) return false;
    for (let left = reader.int32(); left > 0; left -= 1) topics.add(reader.text(reader.int16()));
    return true;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}
