import { KafkaError } from '../../../protocol/errors.ts';
import {
  incrementalAlterConfigsRequest,
  incrementalAlterConfigsResponse,
} from '../../../protocol/messages/incremental-alter-configs.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import {
  checkTopicConfig,
  type TopicConfigName,
  type TopicOverrides,
  topicConfigs,
  topicConfigValue,
} from '../../topics/topic-configs.ts';
import type { Topics } from '../../topics/topics.ts';
import { alterTopic } from './alter-configs.ts';

/** Numbers of the protocol (KIP-339). */
const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

interface Change {
  readonly name: string;
  readonly configOperation: number;
  readonly value: string | null;
}

/** IncrementalAlterConfigs (key 44): what is not named stays as it is. */
export function incrementalAlterConfigs({ topics, faults }: { topics: Topics; faults: Faults }) {
  return handler({
    request: incrementalAlterConfigsRequest,
    response: incrementalAlterConfigsResponse,
    async handle(_context, { resources, validateOnly }) {
      const responses = [];
      for (const { resourceType, resourceName, configs } of resources) {
        const part = await faults.part('altering settings', async () => {
          const change = (overrides: TopicOverrides) => changed(overrides, configs);
          await alterTopic(topics, { resourceType, resourceName, validateOnly, change });
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

function changed(before: TopicOverrides, changes: readonly Change[]): TopicOverrides {
  const overrides: Partial<Record<TopicConfigName, string>> = { ...before };
  const names = changes.map(({ name }) => name);
  if (new Set(names).size < names.length) {
    throw new KafkaError('INVALID_REQUEST', 'Error due to duplicate config keys');
  }
  for (const change of changes) {
    const name = checkTopicConfig(change.name, topicConfigs[change.name as TopicConfigName]?.default ?? '');
    if (change.configOperation === operations.delete) {
      delete overrides[name];
      continue;
    }
    const value = valueAfter(overrides, name, change);
    checkTopicConfig(name, value);
    overrides[name] = value;
  }
  return overrides;
}

function valueAfter(overrides: TopicOverrides, name: TopicConfigName, { configOperation, value }: Change): string {
  if (value === null) throw new KafkaError('INVALID_REQUEST', `Null value not supported for : ${name}`);
  if (configOperation === operations.set) return value;
  if (configOperation !== operations.append && configOperation !== operations.subtract) {
    throw new KafkaError('INVALID_REQUEST', `There is no operation ${configOperation}.`);
  }
  if (topicConfigs[name].kind !== 'list') {
    throw new KafkaError('INVALID_CONFIG', `Can't append to or subtract from ${name}, which is no list.`);
  }
  const parts = (text: string): string[] => text.split(',').map((part) => part.trim());
  const there = parts(topicConfigValue(overrides, name));
  const given = parts(value);
  const after =
    configOperation === operations.append
      ? [...there, ...given.filter((part) => !there.includes(part))]
      : there.filter((part) => !given.includes(part));
  return after.join(',');
}
