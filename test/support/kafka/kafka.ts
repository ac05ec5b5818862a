import type { Context } from 'mocha';
import type { Reachable } from './client.ts';
import { type KafkaContainer, startContainer } from './container.ts';
import { EmbeddedBroker } from './embedded-broker.ts';
import { LocalBroker, type LocalBrokerOptions } from './local-broker.ts';
import { Unavailable } from './unavailable.ts';

/** Long enough to download Kafka or its image the first time. */
const FIRST_START_TIMEOUT_MS = 300_000;

/**
 * A Kafka to test against: given by BROKER_LIST, in a container, or started here from the jars in Maven Central; or, where
 * TEST_BROKER says so, the embedded broker in its place.
 */
export interface Kafka extends Reachable {
  readonly how: 'given' | 'container' | 'maven' | 'embedded';
}

export type OwnKafka = LocalBroker | EmbeddedBroker;

/** Whether the suites run on the embedded broker this time. */
export const onEmbeddedBroker = process.env.TEST_BROKER === 'embedded';

/** What the suites run on, for their titles. */
export const kafkaName = onEmbeddedBroker ? 'the embedded broker' : 'a real Kafka';

/** For what only Kafka's own broker has, such as its settings by name: the suite has nothing to say of the embedded one. */
export function onKafkaOnly(context: Context): void {
  if (onEmbeddedBroker) context.skip();
}

const atTeardown: (() => Promise<void>)[] = [];
let reported = false;
let shared: Promise<Kafka> | undefined;

/** The one Kafka of this mocha run, started on first use. Skips the suite, or fails it under CI, where none can be. */
export function sharedKafka(context: Context): Promise<Kafka> {
  context.timeout(FIRST_START_TIMEOUT_MS);
  shared ??= givenOrStarted();
  return orSkip(context, shared);
}

/** A Kafka of the caller's own, to kill, pause and restart. */
export function ownKafka(context: Context, { port, settings }: LocalBrokerOptions = {}): Promise<OwnKafka> {
  context.timeout(FIRST_START_TIMEOUT_MS);
  if (onEmbeddedBroker) {
    if (settings !== undefined)
      throw new Error('the embedded broker has no settings by the names of Kafka: see onKafkaOnly()');
    return EmbeddedBroker.launch({ ...(port !== undefined && { port }) }).then(stoppedAtTeardown);
  }
  // A killed server may only come back once its former self is taken for dead: after 9 s by default.
  const quickToReturn = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' };
  const options = { ...(port !== undefined && { port }), settings: { ...quickToReturn, ...settings } };
  return orSkip(context, LocalBroker.launch(options).then(stoppedAtTeardown));
}

/** A Kafka in a container or, failing that, as a process of this machine. */
export async function startKafka(options?: { port?: number }): Promise<KafkaContainer | LocalBroker> {
  try {
    return await startContainer(options);
  } catch (noContainer) {
    if (!(noContainer instanceof Unavailable)) throw noContainer;
    return LocalBroker.launch(options).catch((error: unknown) => {
      if (!(error instanceof Unavailable)) throw error;
      throw new Unavailable(`${noContainer.message}, and ${error.message}`);
    });
  }
}

/** Resolves as `wanted` does, but skips the suite, or fails it under CI, when that is unavailable on this machine. */
export async function orSkip<T>(context: Context, wanted: Promise<T>): Promise<T> {
  try {
    return await wanted;
  } catch (error) {
    if (!(error instanceof Unavailable) || process.env.CI === 'true') throw error;
    if (!reported) console.warn(`Suites that need a real server are skipped: ${error.message}`);
    reported = true;
    return context.skip();
  }
}

/** Has `clean` called when all suites are done, the latest first. */
export function onTeardown(clean: () => Promise<void>): void {
  atTeardown.unshift(clean);
}

export async function tearDown(): Promise<void> {
  const failures: unknown[] = [];
  for (const clean of atTeardown.splice(0)) {
    await clean().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, `could not clean up: ${failures.join('; ')}`);
}

async function givenOrStarted(): Promise<Kafka> {
  if (onEmbeddedBroker) return EmbeddedBroker.launch().then(stoppedAtTeardown);
  const brokerList = process.env.BROKER_LIST;
  if (brokerList) return { how: 'given', brokerList };
  return startKafka().then(stoppedAtTeardown, (error: unknown) => {
    if (!(error instanceof Unavailable)) throw error;
    throw new Unavailable(`BROKER_LIST is not set, ${error.message}`);
  });
}

function stoppedAtTeardown<T extends { stop(): Promise<void> }>(kafka: T): T {
  onTeardown(() => kafka.stop());
  return kafka;
}
