import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../kernel/clock.ts';
import { FatalError } from '../kernel/errors.ts';
import { createLogger } from '../kernel/logger.ts';
import { Metrics } from '../kernel/metrics.ts';
import { Broker } from './broker.ts';
import { FolderInUseError } from './folder-lock.ts';
import type { FromWorker, ToWorker, WorkerData } from './hosted-broker.ts';
import { PortUnavailableError } from './server/broker-server.ts';

/** A broker in a thread of its own; `HostedBroker` is the other side. */
const { options, logLevel, terminal, lockToken } = workerData as WorkerData;
const port = parentPort!;
const tell = (message: FromWorker): void => port.postMessage(message);
const logger = createLogger(logLevel, { terminal }).child({ part: 'broker' });
const metrics = new Metrics({ process: false });

try {
  const broker = await Broker.start(options, { clock: systemClock, logger, metrics, lockToken });
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'metrics') {
      metrics.text().then(
        (text) => tell({ kind: 'metrics', id: message.id, text }),
        (error: unknown) => tell({ kind: 'metrics', id: message.id, text: `# ${String(error)}\n` }),
      );
      return;
    }
    broker.stop().then(
      () => port.close(),
      () => port.close(),
    );
  });
  tell({ kind: 'started', addresses: broker.listeners.map((each) => `${each.advertisedHost}:${each.advertisedPort}`) });
} catch (error) {
  const isTaken = error instanceof FolderInUseError || (error instanceof PortUnavailableError && error.isInUse);
  const message = error instanceof FatalError ? error.message : ((error as Error).stack ?? String(error));
  tell({ kind: 'failed', isTaken, message });
  port.close();
}
