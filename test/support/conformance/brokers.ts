import type { Context } from 'mocha';
import type { Reachable } from '../kafka/client.ts';
import { EmbeddedBroker } from '../kafka/embedded-broker.ts';
import { KAFKA_VERSION } from '../kafka/java.ts';
import { onTeardown, sharedKafka } from '../kafka/kafka.ts';

/** A broker that unmodified clients are let loose on. */
export interface BrokerUnderTest {
  readonly name: string;
  /** The rows of docs/DIVERGENCES.md are of a broker that is not Kafka: Kafka itself must pass every test. */
  readonly mayDiverge: boolean;
  /** The same broker however often it is asked for; it is stopped when all suites are done. */
  start(context: Context): Promise<Reachable>;
}

let embedded: Promise<EmbeddedBroker> | undefined;

function sharedEmbeddedBroker(): Promise<EmbeddedBroker> {
  embedded ??= EmbeddedBroker.launch().then((broker) => {
    onTeardown(() => broker.stop());
    return broker;
  });
  return embedded;
}

/** Kafka comes first: a test that its own broker fails says nothing of another. */
export const brokersUnderTest: readonly BrokerUnderTest[] = [
  { name: `Kafka ${KAFKA_VERSION}`, mayDiverge: false, start: sharedKafka },
  { name: 'the embedded broker', mayDiverge: true, start: sharedEmbeddedBroker },
];
