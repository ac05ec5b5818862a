import { integer, text } from '../config/option-types.ts';
import { FatalError } from '../kernel/errors.ts';
import { command, positionals } from './command.ts';
import { UsageError } from './flags.ts';
import * as topics from './kafka/topics.ts';
import { textTable } from './text-table.ts';
import { int32Max, nameValue } from './value-types.ts';

const json = { help: 'Print one JSON document.' };
const config = {
  type: nameValue,
  placeholder: 'NAME=VALUE',
  help: 'Set a topic config, such as cleanup.policy=compact.',
  many: true,
} as const;

export const topicCommands = [
  command({
    path: ['topics', 'create'],
    summary: 'creates topics',
    positionals: positionals.many('NAME'),
    flags: {
      partitions: {
        type: integer(1, int32Max),
        placeholder: 'N',
        help: 'Partitions. The cluster’s default if left out.',
      },
      replicationFactor: {
        type: integer(1, 32_767),
        placeholder: 'N',
        help: 'Copies of each partition. The cluster’s default if left out.',
      },
      config,
      ifNotExists: { help: 'A topic that exists already is left as it is and is no error.' },
    },
    examples: ['bitacora topics create prices --partitions 6 --config cleanup.policy=compact'],
    async run({ flags, positionals: names, connection }, { note }) {
      for (const topic of names) {
        const { partitions, replicationFactor, config: configs } = flags;
        const created = await topics.createTopic(connection, { topic, partitions, replicationFactor, configs });
        if (created) note(`created ${topic}`);
        else if (flags.ifNotExists) note(`${topic} exists already`);
        else throw new FatalError(`topic "${topic}" exists already; --if-not-exists takes that for done`);
      }
    },
  }),
  command({
    path: ['topics', 'list'],
    summary: 'lists topics',
    positionals: positionals.none,
    flags: { internal: { help: 'Show Kafka’s own topics too, whose names begin with __.' }, json },
    async run({ flags, connection }, { output }) {
      const all = await topics.listTopics(connection);
      const shown = all.filter(({ topic }) => flags.internal || !topics.isInternal(topic));
      if (flags.json) return output.json(shown);
      const rows = shown.map(({ topic, partitions, replicationFactor }) => [topic, partitions, replicationFactor]);
      return output.line(textTable(['TOPIC', 'PARTITIONS', 'REPLICATION'], rows));
    },
  }),
  command({
    path: ['topics', 'describe'],
    summary: 'shows partitions, leaders, replicas, offsets and the configs that topics set',
    positionals: positionals.many('NAME'),
    flags: { json },
    notes: ['END is where a reader of committed records comes to the end, so it waits for open transactions.'],
    async run({ flags, positionals: names, connection }, { output }) {
      const descriptions = await topics.describeTopics(connection, names);
      if (flags.json) return output.json(descriptions);
      const parts = descriptions.map(({ topic, partitions, configs }) => {
        const rows = partitions.map(({ partition, leader, replicas, isr, earliest, end }) => [
          partition,
          leader,
          replicas.join(','),
          isr.join(','),
          earliest,
          end,
        ]);
        const set = Object.entries(configs).map(([name, value]) => `  ${name}=${value ?? '(hidden)'}`);
        return [
          `Topic ${topic}`,
          ...(set.length > 0 ? set : ['  sets no configs of its own']),
          textTable(['PARTITION', 'LEADER', 'REPLICAS', 'ISR', 'EARLIEST', 'END'], rows),
        ].join('\n');
      });
      return output.line(parts.join('\n\n'));
    },
  }),
  command({
    path: ['topics', 'delete'],
    summary: 'deletes topics and all their records',
    positionals: positionals.many('NAME'),
    flags: {},
    async run({ positionals: names, connection }, { note }) {
      for (const topic of names) {
        await topics.deleteTopic(connection, topic);
        note(`deleted ${topic}`);
      }
    },
  }),
  command({
    path: ['topics', 'alter'],
    summary: 'adds partitions to a topic, sets and unsets its configs',
    positionals: positionals.one('NAME'),
    flags: {
      partitions: {
        type: integer(1, int32Max),
        placeholder: 'N',
        help: 'Partitions that the topic is to have, more than now. Keys move to other partitions, records do not.',
      },
      config,
      deleteConfig: {
        type: text(/^[\w.-]+$/, 'the name of a config'),
        placeholder: 'NAME',
        help: 'Unset a topic config, so that the broker’s holds.',
        many: true,
      },
    },
    examples: ['bitacora topics alter prices --config retention.ms=60000 --delete-config cleanup.policy'],
    async run({ flags, positionals: [topic = ''], connection }, { note }) {
      const { partitions, config: set, deleteConfig: unset } = flags;
      if (partitions === undefined && set.length === 0 && unset.length === 0) {
        throw new UsageError('topics alter needs --partitions, --config or --delete-config');
      }
      const both = set.find(([name]) => unset.includes(name));
      if (both !== undefined) throw new UsageError(`${both[0]} is in --config and in --delete-config`);
      if (set.length > 0 || unset.length > 0) {
        await topics.alterConfigs(connection, topic, { set, unset });
        note(`altered the configs of ${topic}`);
      }
      if (partitions !== undefined) {
        await topics.addPartitions(connection, topic, partitions);
        note(`${topic} has ${partitions} partitions`);
      }
    },
  }),
];
