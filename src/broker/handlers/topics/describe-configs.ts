import { KafkaError } from '../../../protocol/errors.ts';
import { describeConfigsRequest, describeConfigsResponse } from '../../../protocol/messages/describe-configs.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { Topics } from '../../topics/topics.ts';
import { brokerId } from '../cluster/broker-id.ts';
import { type ConfigEntry, describeBrokerConfigs, describeTopicConfigs, resourceTypes } from './config-entries.ts';

interface Parts {
  readonly topics: Topics;
  readonly faults: Faults;
  /** By Kafka's names. */
  readonly brokerSettings: Readonly<Record<string, string>>;
}

/** DescribeConfigs (key 32): every setting with its value, where it is from, and its default. */
export function describeConfigs({ topics, faults, brokerSettings }: Parts) {
  const entriesOf = (resourceType: number, resourceName: string): ConfigEntry[] => {
    switch (resourceType) {
      case resourceTypes.topic: {
        const topic = topics.find(resourceName);
        if (topic === undefined) {
          throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'This server does not host this topic-partition.');
        }
        return describeTopicConfigs(topic.overrides);
      }
      case resourceTypes.broker:
        checkBroker(resourceName);
        // The empty name means what all brokers of a cluster have in common, which is nothing.
        return resourceName === '' ? [] : describeBrokerConfigs(brokerSettings);
      case resourceTypes.brokerLogger:
      case resourceTypes.clientMetrics:
      case resourceTypes.group:
        return [];
      default:
        throw new KafkaError('INVALID_REQUEST', `There is no type of resource ${resourceType}.`);
    }
  };

  return handler({
    request: describeConfigsRequest,
    response: describeConfigsResponse,
    async handle(_context, { resources, includeSynonyms, includeDocumentation }) {
      const results = resources.map(async ({ resourceType, resourceName, configurationKeys }) => {
        const part = await faults.part('describing settings', () => ({
          configs: entriesOf(resourceType, resourceName)
            .filter(({ name }) => configurationKeys === null || configurationKeys.includes(name))
            .map((entry) => ({
              ...entry,
              synonyms: includeSynonyms ? entry.synonyms : [],
              documentation: includeDocumentation ? entry.documentation : null,
            })),
        }));
        return { resourceType, resourceName, ...part };
      });
      return { results: await Promise.all(results) };
    },
    failure: (errorCode, errorMessage, { resources }) => ({
      results: resources.map(({ resourceType, resourceName }) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
      })),
    }),
  });
}

/** Throws a `KafkaError` INVALID_REQUEST for another broker than this. */
export function checkBroker(resourceName: string): void {
  if (resourceName === '' || resourceName === String(brokerId)) return;
  throw new KafkaError('INVALID_REQUEST', `The broker here is ${brokerId}, not ${resourceName}.`);
}
