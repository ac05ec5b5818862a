import { readArguments } from '../config/config.ts';
import type { Option } from '../config/option-types.ts';
import { flagOf, type OptionName, options } from '../config/options.ts';
import type { KafkaConnection } from '../log/kafka/client.ts';
import type { FlagTable } from './flags.ts';

/** The node's options that say how to reach Kafka: the command line takes the same, in the same words. */
const names = [
  'brokerList',
  'kafkaSsl',
  'kafkaSslCaFile',
  'kafkaSslCertFile',
  'kafkaSslKeyFile',
  'kafkaSaslMechanism',
  'kafkaSaslUsername',
  'kafkaSaslPassword',
] as const satisfies readonly OptionName[];

const placeholders: Readonly<Record<(typeof names)[number], string>> = {
  brokerList: 'HOST:PORT,...',
  kafkaSsl: 'true|false',
  kafkaSslCaFile: 'FILE',
  kafkaSslCertFile: 'FILE',
  kafkaSslKeyFile: 'FILE',
  kafkaSaslMechanism: 'NAME',
  kafkaSaslUsername: 'NAME',
  kafkaSaslPassword: 'TEXT',
};

/** What the node does where nothing is named is not what a tool does: it starts no broker. */
const brokerListHelp =
  'Kafka brokers to start from. Or BROKER_LIST. Default: localhost and BROKER_PORT, so localhost:9092 where that is unset.';

export const connectionFlags: FlagTable = Object.fromEntries(
  names.map((name) => {
    const option: Option<unknown> = options[name];
    const fallback = option.default === undefined ? '' : ` Default: ${option.default}.`;
    const help = name === 'brokerList' ? brokerListHelp : `${option.help} Or ${option.env}.${fallback}`;
    // No default here: the environment comes between the flag and the default.
    return [name, { type: option.type, placeholder: placeholders[name], help }];
  }),
);

/**
 * How to reach Kafka, from the flags given and the environment. Only these variables are looked at: what the node makes of
 * its others is nothing to a tool that starts none.
 */
export function readConnection(given: ReadonlyMap<string, string>, environment: NodeJS.ProcessEnv): KafkaConnection {
  const argv = names.flatMap((name) => {
    const value = given.get(name);
    return value === undefined ? [] : [`--${flagOf(options[name])}=${value}`];
  });
  const variables = Object.fromEntries(
    [...names, 'brokerPort' as const].map((name) => [options[name].env, environment[options[name].env]]),
  );
  const read = readArguments(argv, variables);
  if (read.kind !== 'run') throw new Error(`the connection options were taken for ${read.kind}`);
  const { brokerList, kafkaTls, kafkaSasl } = read.config;
  return { brokers: brokerList, clientId: 'bitacora-cli', tls: kafkaTls, sasl: kafkaSasl };
}
