import { BitacoraError, rootMessage } from '../../kernel/errors.ts';
import { isTlsFault, WireClientError } from '../wire/client-error.ts';

/** A kafkajs error that carries a broker's own answer: its name in Kafka's error table, and whether that table calls it retriable. */
export interface ProtocolAnswer {
  readonly type: string;
  readonly retriable: boolean;
}

/** An error and what it wraps, outermost first: causes, and the first error of several (kafkajs has its own aggregate). */
function* layers(error: unknown): Generator<Error> {
  let current = error;
  for (let depth = 0; depth < 10 && current instanceof Error; depth += 1) {
    yield current;
    const { errors } = current as { errors?: unknown };
    current = Array.isArray(errors) && errors.length > 0 ? errors[0] : current.cause;
  }
}

/** The broker's answer inside an error, or undefined when no broker answered. */
export function protocolAnswer(error: unknown): ProtocolAnswer | undefined {
  for (const layer of layers(error)) {
    const { type, retriable, code } = layer as { type?: unknown; retriable?: unknown; code?: unknown };
    if (typeof type === 'string' && typeof code === 'number' && layer.name !== 'KafkaJSNonRetriableError') {
      return { type, retriable: retriable === true };
    }
  }
  return undefined;
}

const refusals = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'ILLEGAL_SASL_STATE',
  'SECURITY_DISABLED',
  'POLICY_VIOLATION',
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_REPLICATION_FACTOR',
  'INVALID_PARTITIONS',
  'INVALID_CONFIG',
  'INVALID_SESSION_TIMEOUT',
]);

/** The error of any call but `append` as the contract of `Log` has it. */
export function asLogError(error: unknown, doing: string): BitacoraError {
  if (error instanceof BitacoraError) return error;
  const answer = protocolAnswer(error);
  const message = rootMessage(error);
  if ((answer !== undefined && refusals.has(answer.type)) || isLoginFault(error)) {
    return new BitacoraError('log_rejected', `Kafka refused ${doing}: ${message}`, { cause: error });
  }
  return new BitacoraError('log_unavailable', `Kafka did not answer ${doing}: ${message}`, { cause: error });
}

function isLoginFault(error: unknown): boolean {
  for (const layer of layers(error)) {
    if (layer.name === 'KafkaJSSASLAuthenticationError' || isTlsFault(layer)) return true;
    if (layer instanceof WireClientError && layer.kind === 'login-refused') return true;
  }
  return false;
}
