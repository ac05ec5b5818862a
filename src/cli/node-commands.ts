import { host, integer } from '../config/option-types.ts';
import { command, positionals } from './command.ts';
import { nonEmptyText } from './value-types.ts';

/** The node has its own table of options. */
export const startCommand = command({
  path: ['start'],
  summary: 'starts a node of the database; so does no command at all',
  positionals: positionals.none,
  flags: {},
  connects: false,
  passesOn: true,
  notes: ['Takes the options of docs/CONFIGURATION.md; bitacora start --help lists them.'],
  async run({ positionals: argv }, { programs }) {
    await programs.startNode(argv);
  },
});

export const brokerCommand = command({
  path: ['broker'],
  summary: 'runs the embedded broker alone, for any Kafka client',
  positionals: positionals.none,
  flags: {
    port: { type: integer(0, 65_535), placeholder: 'N', help: 'Port to listen on; 0 takes a free one.' },
    host: { type: host, placeholder: 'ADDRESS', help: 'Address to listen on.' },
    dataDir: { type: nonEmptyText, placeholder: 'FOLDER', help: 'Where the log is kept.' },
    advertise: { type: nonEmptyText, placeholder: 'HOST:PORT', help: 'What clients are told to connect to.' },
  },
  connects: false,
  async run({ flags: { port, host, dataDir, advertise } }, { programs }) {
    await programs.runBroker({ port, host, dataDir, advertise });
  },
});
