import { command, positionals } from './command.ts';
import { UsageError } from './flags.ts';
import * as groups from './kafka/groups.ts';
import { textTable } from './text-table.ts';
import { offsetTarget, topicPartitions } from './value-types.ts';

const json = { help: 'Print one JSON document.' };

export const groupCommands = [
  command({
    path: ['groups', 'list'],
    summary: 'lists consumer groups',
    positionals: positionals.none,
    flags: { json },
    async run({ flags, connection }, { output }) {
      const all = await groups.listGroups(connection);
      if (flags.json) return output.json(all);
      const rows = all.map(({ group, type, state, members }) => [group, type, state, members]);
      return output.line(textTable(['GROUP', 'TYPE', 'STATE', 'MEMBERS'], rows));
    },
  }),
  command({
    path: ['groups', 'describe'],
    summary: 'shows state, members, offsets and lag of groups',
    positionals: positionals.many('NAME'),
    flags: { json },
    notes: ['LAG counts offsets up to where a reader of committed records comes to the end.'],
    async run({ flags, positionals: names, connection }, { output }) {
      const descriptions = await groups.describeGroups(connection, names);
      if (flags.json) return output.json(descriptions);
      return output.line(descriptions.map(describeGroup).join('\n\n'));
    },
  }),
  command({
    path: ['groups', 'delete'],
    summary: 'deletes groups that have no members, and their offsets',
    positionals: positionals.many('NAME'),
    flags: {},
    async run({ positionals: names, connection }, { note }) {
      for (const group of names) {
        await groups.deleteGroup(connection, group);
        note(`deleted ${group}`);
      }
    },
  }),
  command({
    path: ['groups', 'reset-offsets'],
    summary: 'moves the offsets of a group that has no members',
    positionals: positionals.one('NAME'),
    flags: {
      topic: {
        type: topicPartitions,
        placeholder: 'TOPIC[:PARTITION,...]',
        help: 'Which offsets to move.',
        short: 't',
        many: true,
      },
      to: {
        type: offsetTarget,
        placeholder: 'WHERE',
        help: 'earliest, latest, an offset, a time such as 2030-01-31T12:00:00Z (the first record of that time or later), or @ and milliseconds since the epoch.',
      },
      dryRun: { help: 'Show what would be done, and do nothing.' },
      json,
    },
    notes: ['An offset that a partition has not got becomes the nearest one it has.'],
    examples: [
      'bitacora groups reset-offsets billing --topic orders --to earliest --dry-run',
      'bitacora groups reset-offsets billing --topic orders:0,3 --to 2030-01-31T12:00:00Z',
    ],
    async run({ flags, positionals: [group = ''], connection }, { output }) {
      if (flags.topic.length === 0) throw new UsageError('groups reset-offsets needs --topic');
      if (flags.to === undefined) throw new UsageError('groups reset-offsets needs --to');
      const named = flags.topic.map(({ topic }) => topic);
      const repeated = named.find((topic, i) => named.indexOf(topic) !== i);
      if (repeated !== undefined)
        throw new UsageError(`--topic names ${repeated} twice: --topic ${repeated}:0,1 takes several partitions`);
      const changes = await groups.planReset(connection, group, flags.topic, flags.to);
      if (!flags.dryRun) await groups.commitOffsets(connection, group, changes);
      if (flags.json) return output.json(changes);
      const rows = changes.map(({ topic, partition, before, after }) => [topic, partition, before, after]);
      return output.line(textTable(['TOPIC', 'PARTITION', 'BEFORE', 'AFTER'], rows));
    },
  }),
];

function describeGroup({ group, state, protocol, members, offsets }: groups.GroupDetails): string {
  const parts = [
    `Group ${group}`,
    `  state ${state ?? 'not told'}${protocol === undefined ? '' : `, assigned by ${protocol}`}`,
  ];
  if (members.length === 0) parts.push('  no members');
  else {
    const rows = members.map(({ memberId, clientId, host, assignment }) => {
      const assigned = Object.entries(assignment).map(([topic, partitions]) => `${topic}:${partitions.join(',')}`);
      return [memberId, clientId, host, assigned.join(' ')];
    });
    parts.push(textTable(['MEMBER', 'CLIENT', 'HOST', 'ASSIGNED'], rows));
  }
  if (offsets.length === 0) parts.push('  no committed offsets');
  else {
    const rows = offsets.map(({ topic, partition, offset, end, lag }) => [topic, partition, offset, end, lag]);
    parts.push(textTable(['TOPIC', 'PARTITION', 'OFFSET', 'END', 'LAG'], rows));
  }
  return parts.join('\n');
}
