import type { Reachable } from './client.ts';
import type { KafkaTools } from './tools.ts';

/** What a held consumer must have to read, in bytes: a fetch that brings less is let through. */
export const heldBytes = 500_000;

/**
 * Has the broker answer every fetch of a client with nothing, as it does with one that is over its quota (KIP-219), until
 * released. An answer is over it when it brings `heldBytes`: a fifth more than the quota allows in its window of 11 s, so
 * that the client is told to wait for a few seconds and not for minutes. With `anything`, whatever comes is over it.
 */
export async function holdConsumer(
  kafka: Reachable,
  tools: KafkaTools,
  clientId: string,
  { anything = false } = {},
): Promise<() => Promise<void>> {
  const alter = (...change: string[]) =>
    tools.run('kafka.admin.ConfigCommand', [
      ...['--bootstrap-server', kafka.brokerList, '--alter', '--entity-type', 'clients', '--entity-name', clientId],
      ...change,
    ]);
  const bytesPerSecond = anything ? 1 : Math.round(heldBytes / 11 / 1.2);
  await alter('--add-config', `consumer_byte_rate=${bytesPerSecond}`);
  return async () => {
    await alter('--delete-config', 'consumer_byte_rate');
  };
}
