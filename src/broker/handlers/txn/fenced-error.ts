import { type KafkaErrorName, kafkaErrors } from '../../../protocol/errors.ts';

/**
 * The code of an error, for a client that knows PRODUCER_FENCED from `knownFrom` on (KIP-588). An older one handles the same with
 * INVALID_PRODUCER_EPOCH.
 */
export function fencedErrorCode(error: KafkaErrorName, version: number, knownFrom: number): number {
  const known = error === 'PRODUCER_FENCED' && version < knownFrom ? 'INVALID_PRODUCER_EPOCH' : error;
  return kafkaErrors[known].code;
}
