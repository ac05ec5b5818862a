import { kafkajsClient, type Reachable } from '../kafka/client.ts';
import { freshTopicName, type TopicOptions } from '../kafka/topics.ts';

/** Creates a topic that no other test uses, by a client other than the one under test, and answers its name. */
export async function freshTopic(broker: Reachable, prefix: string, options: TopicOptions = {}): Promise<string> {
  const { partitions = 1, config = {} } = options;
  const topic = freshTopicName(prefix);
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  const admin = kafkajsClient(broker).admin();
  await admin.connect();
  try {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
  } finally {
    await admin.disconnect();
  }
  return topic;
}
