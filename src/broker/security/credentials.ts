import { KafkaError } from '../../protocol/errors.ts';

/** Passwords by user. */
export type Users = ReadonlyMap<string, string>;

/** Says the same for a user that does not exist as for a wrong password. */
export const loginRefused = (): KafkaError =>
  new KafkaError('SASL_AUTHENTICATION_FAILED', 'Authentication failed: Invalid username or password');
