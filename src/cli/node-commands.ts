import { command, positionals } from './command.ts';

/** Programs that run until they are stopped, each with its own table of options. */
export const nodeCommands = [
  command({
    path: ['start'],
    summary: 'starts a node of the database; so does no command at all',
    positionals: positionals.none,
    flags: {},
    connects: false,
    passesOn: true,
    notes: ['bitacora start --help lists its options, and so does [CONFIGURATION.md](CONFIGURATION.md).'],
    async run({ positionals: argv }, { programs }) {
      await programs.startNode(argv);
    },
  }),
  command({
    path: ['broker'],
    summary: 'runs the embedded broker alone, for any Kafka client',
    positionals: positionals.none,
    flags: {},
    connects: false,
    passesOn: true,
    notes: ['bitacora broker --help lists its options, and so does [CONFIGURATION.md](CONFIGURATION.md).'],
    async run({ positionals: argv }, { programs }) {
      await programs.startBroker(argv);
    },
  }),
];
