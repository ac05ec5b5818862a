import {
  arrayOf,
  int8,
  int16,
  int32,
  int64,
  type Message,
  type MessageInput,
  message,
  string,
  structs,
} from '../../protocol/schema.ts';
import { WireError, WireReader, WireWriter } from '../../protocol/wire.ts';
import {
  noPartitions,
  type TransactionState,
  type TransactionStatus,
  transactionStatuses,
} from './transaction-state.ts';

/** Records of a log are no requests: they have no key of an API. */
const noApiKey = -1;

/** TransactionLogKey of Kafka's transaction coordinator. */
const logKey = message(
  'TransactionLogKey',
  noApiKey,
  { versions: '0', flexible: 'none' },
  {
    transactionalId: string('0'),
  },
);

/**
 * TransactionLogValue of Kafka's transaction coordinator. Version 1 is what `transaction.version` 1 writes; its tagged fields
 * belong to `transaction.version` 2 and are passed over.
 */
const logValue = message(
  'TransactionLogValue',
  noApiKey,
  { versions: '0-1', flexible: '1+' },
  {
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    transactionTimeoutMs: int32('0+'),
    transactionStatus: int8('0+'),
    transactionPartitions: structs({
      topic: string('0+'),
      partitionIds: arrayOf(int32)('0+'),
    })('0+', { nullable: '0+' }),
    transactionLastUpdateTimestampMs: int64('0+'),
    transactionStartTimestampMs: int64('0+'),
  },
);

const keyVersion = 0;
const valueVersion = 1;
const valueVersionMax = 1;

const statusNames = new Map<number, TransactionStatus>(
  Object.entries(transactionStatuses).map(([name, id]) => [id, name as TransactionStatus]),
);

export function transactionKey(transactionalId: string): Buffer {
  return withVersion(logKey, keyVersion, { transactionalId });
}

export function transactionValue(state: TransactionState): Buffer {
  return withVersion(logValue, valueVersion, {
    producerId: state.producerId,
    producerEpoch: state.producerEpoch,
    transactionTimeoutMs: state.timeoutMs,
    transactionStatus: transactionStatuses[state.status],
    // Kafka tells a producer that has begun nothing, with null, from a transaction that is over, with an empty list.
    transactionPartitions:
      state.status === 'Empty'
        ? null
        : Array.from(state.partitions, ([topic, partitions]) => ({ topic, partitionIds: [...partitions] })),
    transactionLastUpdateTimestampMs: state.updatedMs,
    transactionStartTimestampMs: state.startedMs,
  });
}

/** The transactional id that a record is about; undefined: a kind of record that is not known. Throws a `WireError`. */
export function readTransactionKey(key: Buffer): string | undefined {
  const version = new WireReader(key).int16();
  return version === keyVersion ? logKey.decode(key.subarray(2), version).transactionalId : undefined;
}

/** Throws a `WireError` for what is no state of a transaction. */
export function readTransactionValue(value: Buffer): TransactionState {
  const version = new WireReader(value).int16();
  if (version < 0 || version > valueVersionMax) throw new WireError(`a transaction has record version ${version}`);
  const record = logValue.decode(value.subarray(2), version);
  const status = statusNames.get(record.transactionStatus);
  if (status === undefined) throw new WireError(`a transaction has status ${record.transactionStatus}`);
  const partitions = record.transactionPartitions?.map(
    ({ topic, partitionIds }) => [topic, new Set(partitionIds)] as const,
  );
  return {
    status,
    producerId: record.producerId,
    producerEpoch: record.producerEpoch,
    previousProducerId: -1,
    lastProducerEpoch: -1,
    timeoutMs: record.transactionTimeoutMs,
    partitions: partitions === undefined ? noPartitions : new Map(partitions),
    startedMs: record.transactionStartTimestampMs,
    updatedMs: record.transactionLastUpdateTimestampMs,
  };
}

/** Kafka puts the version of a coordinator's record before it. */
function withVersion<M extends Message>(schema: M, version: number, value: MessageInput<M>): Buffer {
  const writer = new WireWriter();
  writer.int16(version);
  schema.encode(writer, value, version);
  return writer.finish();
}
