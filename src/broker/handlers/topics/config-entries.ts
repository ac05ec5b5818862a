import {
  type TopicConfigName,
  type TopicOverrides,
  topicConfigs,
  topicConfigValue,
} from '../../topics/topic-configs.ts';

/** Numbers of the protocol (KIP-226, KIP-569). */
export const resourceTypes = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const;
export const configSources = { topic: 1, staticBroker: 4, default: 5 } as const;
const configTypes = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const;

export interface ConfigEntry {
  readonly name: string;
  readonly value: string;
  readonly readOnly: boolean;
  readonly configSource: number;
  readonly isSensitive: boolean;
  readonly synonyms: ReadonlyArray<{ name: string; value: string; source: number }>;
  readonly configType: number;
  readonly documentation: string;
}

/** Every setting of a topic, its own or by default. */
export function describeTopicConfigs(overrides: TopicOverrides): ConfigEntry[] {
  return (Object.keys(topicConfigs) as TopicConfigName[]).map((name) => {
    const value = topicConfigValue(overrides, name);
    const { kind, about, default: preset } = topicConfigs[name];
    const isOwn = overrides[name] !== undefined;
    const own = { name, value, source: configSources.topic };
    const byDefault = { name, value: preset, source: configSources.default };
    return {
      name,
      value,
      readOnly: false,
      configSource: isOwn ? configSources.topic : configSources.default,
      isSensitive: false,
      synonyms: isOwn ? [own, byDefault] : [byDefault],
      configType: configTypes[kind],
      documentation: about,
    };
  });
}

/** Settings of the broker, which are given at its start and do not change. */
export function describeBrokerConfigs(settings: Readonly<Record<string, string>>): ConfigEntry[] {
  return Object.entries(settings).map(([name, value]) => ({
    name,
    value,
    readOnly: true,
    configSource: configSources.staticBroker,
    isSensitive: false,
    synonyms: [{ name, value, source: configSources.staticBroker }],
    configType: configTypes.string,
    documentation: '',
  }));
}
