import { startNode } from './bench-node.ts';
import { built } from './built.ts';
import { taskOf, tell } from './contender.ts';
import type { Usage } from './http-contender.ts';

export interface AvroNodeTask {
  readonly keys: number;
  readonly valueBytes: number;
}

export interface Ports {
  readonly httpPort: number;
  readonly avroPort: number;
}

const { AvroServer } = await built<typeof import('../../src/avro/avro-server.ts')>('avro/avro-server.js');
const { systemClock: clock } = await built<typeof import('../../src/kernel/clock.ts')>('kernel/clock.js');
const { createLogger } = await built<typeof import('../../src/kernel/logger.ts')>('kernel/logger.js');
const { Metrics } = await built<typeof import('../../src/kernel/metrics.ts')>('kernel/metrics.js');

const { database, port: httpPort } = await startNode(taskOf<AvroNodeTask>());
const logger = createLogger('error', { terminal: false });
const metrics = new Metrics({ process: false });
const avro = new AvroServer({ database, host: '127.0.0.1', port: 0, clock, logger, metrics });
await avro.run();

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  tell({ cpuUs: user + system } satisfies Usage);
});
tell({ httpPort, avroPort: avro.port } satisfies Ports);
