import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { BitacoraError } from '../../../../src/kernel/errors.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { GroupCommit } from '../../../../src/log/group-commit.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { Brokers } from '../../../../src/log/wire/brokers.ts';
import { DirectWriter } from '../../../../src/log/wire/direct-writer.ts';
import { type KafkaErrorName, kafkaErrors } from '../../../../src/protocol/errors.ts';
import { batchHeaderBytes, readHeader, walkRecords } from '../../../../src/protocol/record-batch.ts';
import { FastClock } from '../../../support/fast-clock.ts';
import { ScriptedBroker } from '../../../support/wire/scripted-broker.ts';

/** What befalls one Produce request. */
const fates = [
  'taken',
  'lost before it is taken',
  'taken, and the answer lost',
  'lost, and taken later',
  'not the leader',
  'taken, and then not the leader',
  'too few replicas',
  'too large',
  'producer forgotten',
] as const;
type Fate = (typeof fates)[number];

const sequences = 2 ** 31;
/** A broker remembers so many batches of a producer (KIP-98). */
const rememberedBatches = 5;

interface Batch {
  readonly producerId: number;
  readonly baseSequence: number;
  readonly keys: readonly string[];
}

/** The log of one partition, as a broker keeps it with idempotent producers (KIP-98, KIP-360). */
class PartitionModel {
  readonly keys: string[] = [];
  readonly #producers = new Map<number, { sequence: number; count: number; baseOffset: number }[]>();

  take({ producerId, baseSequence, keys }: Batch): { error: KafkaErrorName; baseOffset: number } {
    const seen = this.#producers.get(producerId) ?? [];
    const same = seen.find(({ sequence, count }) => sequence === baseSequence && count === keys.length);
    if (same !== undefined) return { error: 'NONE', baseOffset: same.baseOffset };
    const last = seen.at(-1);
    if (last !== undefined && (last.sequence + last.count) % sequences !== baseSequence) {
      return { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER', baseOffset: -1 };
    }
    const baseOffset = this.keys.length;
    this.keys.push(...keys);
    seen.push({ sequence: baseSequence, count: keys.length, baseOffset });
    this.#producers.set(producerId, seen.slice(-rememberedBatches));
    return { error: 'NONE', baseOffset };
  }
}

function batchOf(records: Buffer): Batch {
  const { producerId, baseSequence, count } = readHeader(records);
  const body = Buffer.from(records.subarray(batchHeaderBytes));
  const keys: string[] = [];
  walkRecords(body, count, ({ keyStart, keyLength }) =>
    keys.push(body.toString('utf8', keyStart, keyStart + keyLength)),
  );
  return { producerId, baseSequence, keys };
}

/** Serves one partition, and has each Produce request meet the next of the fates; when they are used up, all are taken. */
function serve(broker: ScriptedBroker, log: PartitionModel, script: readonly Fate[]): void {
  let producers = 0;
  let late: Batch | undefined;
  const left = [...script];
  broker.on(apis.metadata, () => ({
    brokers: [{ nodeId: 1, ...broker.address }],
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, leaderId: 1 }] }],
  }));
  broker.on(apis.initProducerId, () => {
    producers += 1;
    return { producerId: producers, producerEpoch: 0 };
  });
  broker.on(apis.produce, ({ body, socket }) => {
    const batch = batchOf(body.topicData[0]!.partitionData[0]!.records!);
    const answer = (error: KafkaErrorName, baseOffset = -1) => ({
      responses: [{ name: 't', partitionResponses: [{ index: 0, errorCode: kafkaErrors[error].code, baseOffset }] }],
    });
    const hangUp = (): undefined => void socket.destroy();
    const before = late;
    late = undefined;
    try {
      switch (left.shift() ?? 'taken') {
        case 'taken': {
          const { error, baseOffset } = log.take(batch);
          return answer(error, baseOffset);
        }
        case 'lost before it is taken':
          return hangUp();
        case 'taken, and the answer lost':
          log.take(batch);
          return hangUp();
        case 'lost, and taken later':
          late = batch;
          return hangUp();
        case 'not the leader':
          return answer('NOT_LEADER_OR_FOLLOWER');
        case 'taken, and then not the leader':
          log.take(batch);
          return answer('NOT_LEADER_OR_FOLLOWER');
        case 'too few replicas':
          return answer('NOT_ENOUGH_REPLICAS');
        case 'too large':
          return answer(batch.keys.length > 1 ? 'MESSAGE_TOO_LARGE' : 'NOT_ENOUGH_REPLICAS');
        case 'producer forgotten':
          return answer('UNKNOWN_PRODUCER_ID');
      }
    } finally {
      if (before !== undefined) log.take(before);
    }
  });
}

describe('the direct writer under group commit, whatever a broker does', () => {
  it('has every acknowledged record in the log once and where it says, and none that it calls not written', async () => {
    const scenario = fc.record({
      script: fc.array(fc.constantFrom(...fates), { maxLength: 12 }),
      waves: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(scenario, async ({ script, waves }) => {
        const broker = await ScriptedBroker.start();
        const log = new PartitionModel();
        serve(broker, log, script);
        const connection = { brokers: [broker.hostPort], clientId: 'test', tls: undefined, sasl: undefined };
        const logger = createLogger('silent', { terminal: false });
        const brokers = new Brokers({ connection, clock: systemClock, logger });
        const commit = new GroupCommit(
          new DirectWriter({ brokers, topic: 't', partition: 0, requestTimeoutMs: 5_000 }),
          {
            clock: new FastClock(50),
            writeTimeoutMs: 10_000,
            batchBytesMax: 100_000,
            batchRecordsMax: 20,
            budget: { bytes: 0, bytesMax: 1e6 },
          },
        );
        const told = new Map<string, number | string>();
        const append = async (key: string): Promise<void> => {
          const record = { partition: 0, key: Buffer.from(key), value: null, timestampMs: 1 };
          try {
            told.set(key, (await commit.append(record)).offset);
          } catch (error) {
            assert.ok(error instanceof BitacoraError);
            told.set(key, error.code);
          }
        };
        try {
          const all: Promise<void>[] = [];
          for (const [wave, count] of waves.entries()) {
            for (let index = 0; index < count; index += 1) all.push(append(`${wave}-${index}`));
            // The next wave finds a batch in flight, or what became of it.
            if (wave % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
            else await all.at(-1);
          }
          await Promise.all(all);
          await commit.drain();
        } finally {
          brokers.close();
          await broker.stop();
        }
        check(log.keys, told);
      }),
      { numRuns: 60 },
    );
  });
});

function check(keys: readonly string[], told: ReadonlyMap<string, number | string>): void {
  assert.equal(new Set(keys).size, keys.length, 'a record is in the log twice');
  for (const [key, result] of told) {
    if (typeof result === 'number') assert.equal(keys[result], key, `${key} is not at offset ${result}`);
    else if (result !== 'write_outcome_unknown') {
      assert.ok(!keys.includes(key), `${key} is in the log and was reported as ${result}`);
    }
  }
}
