import { TransactionCoordinator } from '../../../../src/broker/txn/coordinator.ts';
import { ProducerIds } from '../../../../src/broker/txn/producer-ids.ts';
import type { Reply } from '../../../../src/broker/txn/transaction.ts';
import type { ProducerIdentity, TopicPartition } from '../../../../src/broker/txn/transaction-state.ts';
import type { Marker, TransactionTargets } from '../../../../src/broker/txn/transaction-targets.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { KafkaError, type KafkaErrorName } from '../../../../src/protocol/errors.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { ScriptedLog } from './scripted-log.ts';

export const minuteMs = 60_000;
export const timeoutMs = minuteMs;

/**
 * A coordinator over a log and partitions that do what a test says. Producers are written as `id/epoch`, partitions as `topic-0`,
 * so that a test reads as a transcript; what is written where goes into `transcript`.
 */
export class TransactionRig {
  readonly clock = new FakeClock();
  readonly transcript: string[] = [];
  readonly log = new ScriptedLog(this.transcript);
  /** All that exist, beside that of the offsets. */
  readonly partitions = new Set(['a-0', 'a-1', 'b-0']);
  /** Markers for these partitions are refused, with this error. */
  readonly refusedMarkers = new Map<string, KafkaErrorName>();
  /** Told of every marker that is written. */
  onMarker: (partition: string, marker: Marker) => void = () => undefined;
  coordinator!: TransactionCoordinator;
  #firstUnreservedId = 0;
  #crash = new AbortController();

  constructor() {
    this.#open();
  }

  static async started(): Promise<TransactionRig> {
    const rig = new TransactionRig();
    await rig.coordinator.run();
    return rig;
  }

  /** The broker dies without a word, and starts again on what is in the log. */
  async crash(): Promise<void> {
    this.#crash.abort();
    // Nothing of the former run comes back, so its timers are of no use.
    void this.coordinator.stop();
    this.log.release();
    this.#open();
    await this.coordinator.run();
  }

  /** The log's lines of the transcript since the last call, and the markers. */
  written(): string[] {
    return this.transcript.splice(0);
  }

  async init(id: string, expected?: string, timeout = timeoutMs): Promise<string> {
    const identity = expected === undefined ? undefined : identityOf(expected);
    return nameOf(await this.coordinator.initProducerId(id, timeout, identity));
  }

  add(id: string, producer: string, ...partitions: string[]): Promise<KafkaErrorName> {
    return this.coordinator.addPartitions(id, identityOf(producer), partitions.map(targetOf));
  }

  addOffsets(id: string, producer: string): Promise<KafkaErrorName> {
    return this.coordinator.addOffsets(id, identityOf(producer));
  }

  commit(id: string, producer: string): Promise<KafkaErrorName> {
    return this.coordinator.end(id, identityOf(producer), true);
  }

  abort(id: string, producer: string): Promise<KafkaErrorName> {
    return this.coordinator.end(id, identityOf(producer), false);
  }

  verify(id: string, producer: string, partition: string, knowsAbortable = false): KafkaErrorName {
    return this.coordinator.verify(id, identityOf(producer), targetOf(partition), knowsAbortable);
  }

  status(id: string): string | undefined {
    const state = this.coordinator.describe(id);
    return state && `${state.status} ${state.producerId}/${state.producerEpoch}`;
  }

  #open(): void {
    this.#crash = new AbortController();
    const crashed = this.#crash.signal;
    this.coordinator = new TransactionCoordinator({
      log: this.log.open(crashed),
      targets: this.#targets(crashed),
      producerIds: new ProducerIds({
        firstUnreservedId: this.#firstUnreservedId,
        reserve: async (firstUnreservedId) => {
          this.#firstUnreservedId = firstUnreservedId;
        },
      }),
      clock: this.clock,
      logger: createLogger('silent', { terminal: false }),
    });
  }

  #targets(crashed: AbortSignal): TransactionTargets {
    return {
      hasPartition: (topic, partition) => this.partitions.has(`${topic}-${partition}`),
      writeMarker: async (topic, partition, marker) => {
        if (crashed.aborted) return;
        const target = `${topic}-${partition}`;
        const refusal = this.refusedMarkers.get(target);
        if (refusal !== undefined) throw new KafkaError(refusal, 'no marker is taken');
        const { producerId, producerEpoch, commit } = marker;
        this.transcript.push(`${commit ? 'commit' : 'abort'} ${target} ${producerId}/${producerEpoch}`);
        this.onMarker(target, marker);
      },
    };
  }
}

export function identityOf(producer: string): ProducerIdentity {
  const [producerId, producerEpoch] = producer.split('/').map(Number);
  return { producerId: producerId!, producerEpoch: producerEpoch! };
}

export function targetOf(partition: string): TopicPartition {
  const dash = partition.lastIndexOf('-');
  return { topic: partition.slice(0, dash), partition: Number(partition.slice(dash + 1)) };
}

export function nameOf({ error, producer }: Reply): string {
  return producer === undefined ? error : `${producer.producerId}/${producer.producerEpoch}`;
}
