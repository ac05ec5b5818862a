import { KafkaError, type KafkaErrorName } from '../../../protocol/errors.ts';
import { produceRequest, produceResponse } from '../../../protocol/messages/produce.ts';
import { readHeader } from '../../../protocol/record-batch.ts';
import { WireError } from '../../../protocol/wire.ts';
import type { Faults, PartError } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import type { PartitionLog } from '../../storage/partition-log.ts';
import type { Topics } from '../../topics/topics.ts';
import { partitionOf } from './partition-of.ts';

/** Who knows which partitions a transaction has. */
export interface Transactions {
  /** NONE, or why the producer may not write to the partition. */
  verify(
    transactionalId: string,
    producer: { readonly producerId: number; readonly producerEpoch: number },
    target: { readonly topic: string; readonly partition: number },
    knowsAbortable: boolean,
  ): KafkaErrorName;
}

interface Parts {
  readonly topics: Topics;
  readonly transactions: Transactions;
  readonly faults: Faults;
}

interface Appended {
  readonly index: number;
  readonly baseOffset: number;
  readonly logAppendTimeMs?: number;
  readonly logStartOffset?: number;
  readonly errorCode: number;
  readonly errorMessage?: string | null;
}

/** From this version on a client knows TRANSACTION_ABORTABLE (KIP-890). */
const abortableFrom = 11;

/**
 * Produce (key 0). Versions 0 to 2 are advertised and refused: librdkafka turns compression off without a word when it does not
 * see them. With acks=0 there is no answer, so an error ends the connection, by which the client notices.
 */
export function produce({ topics, transactions, faults }: Parts) {
  const append = async (
    topic: string,
    index: number,
    bytes: Buffer | null,
    { version, transactionalId, acks }: { version: number; transactionalId: string | null; acks: number },
  ): Promise<{ appended: Appended; log?: PartitionLog; end?: number }> => {
    try {
      if (acks < -1 || acks > 1) throw new KafkaError('INVALID_REQUIRED_ACKS', `There is no acks=${acks}.`);
      const log = partitionOf(topics, topic, index);
      if (topics.find(topic)!.isInternal) {
        throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${topic} is the broker's own: clients do not write to it.`);
      }
      if (bytes === null || bytes.length === 0) throw new KafkaError('INVALID_RECORD', 'There is no record batch.');
      const { isTransactional, producerId, producerEpoch } = headerOf(bytes);
      await log.checkCompressedKeys(bytes);
      // From here to the append nothing waits, so that no marker can come between.
      if (isTransactional) {
        const target = { topic, partition: index };
        const verdict =
          transactionalId === null
            ? 'INVALID_TXN_STATE'
            : transactions.verify(transactionalId, { producerId, producerEpoch }, target, version >= abortableFrom);
        if (verdict !== 'NONE') {
          throw new KafkaError(verdict, 'The partition was not added to an ongoing transaction of this producer.');
        }
      }
      const { baseOffset, lastOffset, logAppendTimeMs, logStartOffset } = log.append(bytes, {
        leaderEpoch: topics.leaderEpoch,
        origin: 'client',
      });
      return {
        appended: { index, baseOffset, logAppendTimeMs, logStartOffset, errorCode: 0 },
        log,
        end: lastOffset + 1,
      };
    } catch (error) {
      return { appended: refused(index, faults.tell(error, `an append to ${topic}-${index}`)) };
    }
  };

  return handler({
    request: produceRequest,
    response: produceResponse,
    advertised: '0-11',
    async handle({ version }, { acks, transactionalId, topicData }) {
      const options = { version, transactionalId, acks };
      const all = [];
      for (const { name, partitionData } of topicData) {
        const parts = [];
        for (const { index, records } of partitionData) parts.push(await append(name, index, records, options));
        all.push({ name, parts });
      }
      const answered = await Promise.all(
        all.map(async ({ name, parts }) => ({
          name,
          partitionResponses: await Promise.all(
            parts.map(async ({ appended, log, end }) => {
              if (acks !== -1 || log === undefined) return appended;
              const { errorCode, errorMessage } = await faults.part(
                `a flush of ${name}-${appended.index}`,
                async () => {
                  await log.flushed(end!);
                  return {};
                },
              );
              return errorCode === 0 ? appended : refused(appended.index, { errorCode, errorMessage: errorMessage! });
            }),
          ),
        })),
      );
      if (acks !== 0) return { responses: answered };
      const failed = answered
        .flatMap(({ partitionResponses }) => partitionResponses)
        .find((part) => part.errorCode !== 0);
      if (failed !== undefined) throw new WireError(`a produce with acks=0 failed: ${failed.errorMessage}`);
      return undefined;
    },
  });
}

function headerOf(bytes: Buffer): ReturnType<typeof readHeader> {
  try {
    return readHeader(bytes);
  } catch (error) {
    // Formats 0 and 1 have their version in the same place.
    const name: KafkaErrorName =
      bytes.length > 16 && bytes[16]! < 2 ? 'UNSUPPORTED_FOR_MESSAGE_FORMAT' : 'CORRUPT_MESSAGE';
    throw new KafkaError(name, (error as Error).message, { cause: error });
  }
}

const refused = (index: number, { errorCode, errorMessage }: PartError): Appended => ({
  index,
  baseOffset: -1,
  errorCode,
  errorMessage,
});
