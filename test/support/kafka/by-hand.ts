import { KAFKA_VERSION } from './java.ts';
import { startKafka } from './kafka.ts';
import { assertPortIsFree } from './ports.ts';

const PORT = 9092;

try {
  await assertPortIsFree(PORT);
  const kafka = await startKafka({ port: PORT });
  // Neither signal handlers nor a container keep this process alive.
  const alive = setInterval(() => undefined, 60_000);
  const stop = async (): Promise<void> => {
    clearInterval(alive);
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await kafka.stop();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  console.log(`Kafka ${KAFKA_VERSION} listening on localhost:${PORT}, Ctrl-C stops it`);
} catch (error) {
  console.error(`Kafka was not started: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
