import { KafkaError } from '../../../protocol/errors.ts';
import { alterConfigsRequest, alterConfigsResponse } from '../../../protocol/messages/alter-configs.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import { overridesOf, type TopicOverrides } from '../../topics/topic-configs.ts';
import type { Topics } from '../../topics/topics.ts';
import { resourceTypes } from './config-entries.ts';

/** AlterConfigs (key 33): the settings given take the place of all that the topic had of its own. */
export function alterConfigs({ topics, faults }: { topics: Topics; faults: Faults }) {
  return handler({
    request: alterConfigsRequest,
    response: alterConfigsResponse,
    async handle(_context, { resources, validateOnly }) {
      const responses = [];
      for (const { resourceType, resourceName, configs } of resources) {
        const part = await faults.part('altering settings', async () => {
          await alterTopic(topics, { resourceType, resourceName, validateOnly, change: () => overridesOf(configs) });
          return {};
        });
        responses.push({ resourceType, resourceName, ...part });
      }
      return { responses };
    },
    failure: (errorCode, errorMessage, { resources }) => ({
      responses: resources.map(({ resourceType, resourceName }) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
      })),
    }),
  });
}

/** Rejects with a `KafkaError`, also where there is nothing to alter. */
export async function alterTopic(
  topics: Topics,
  {
    resourceType,
    resourceName,
    validateOnly,
    change,
  }: {
    resourceType: number;
    resourceName: string;
    validateOnly: boolean;
    change: (overrides: TopicOverrides) => TopicOverrides;
  },
): Promise<void> {
  if (resourceType !== resourceTypes.topic) {
    throw new KafkaError(
      'INVALID_REQUEST',
      'Settings of topics can be altered; those of the broker are given at its start.',
    );
  }
  const topic = topics.find(resourceName);
  if (topic === undefined) {
    throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');
  }
  if (topic.isInternal) throw new KafkaError('INVALID_REQUEST', `${resourceName} is the broker's own.`);
  if (validateOnly) change(topic.overrides);
  else await topics.configure(resourceName, change);
}
