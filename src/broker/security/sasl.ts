import { timingSafeEqual } from 'node:crypto';
import { KafkaError } from '../../protocol/errors.ts';
import type { SaslExchange } from '../server/handler.ts';
import { ScramExchange, ScramVerifiers } from './scram.ts';

export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];

/** Passwords by user. */
export type Users = ReadonlyMap<string, string>;

/** Says the same for a user that does not exist as for a wrong password. */
export const loginRefused = (): KafkaError =>
  new KafkaError('SASL_AUTHENTICATION_FAILED', 'Authentication failed: Invalid username or password');

/** Begins logins. */
export class Sasl {
  readonly #users: Users;
  readonly #scram: { readonly [Mechanism in Exclude<SaslMechanism, 'PLAIN'>]: ScramVerifiers };

  constructor(users: Users) {
    this.#users = users;
    this.#scram = {
      'SCRAM-SHA-256': new ScramVerifiers('sha256', users),
      'SCRAM-SHA-512': new ScramVerifiers('sha512', users),
    };
  }

  /** undefined: there is no such mechanism. */
  begin(mechanism: string): SaslExchange | undefined {
    if (mechanism === 'PLAIN') return plainExchange(this.#users);
    if (mechanism === 'SCRAM-SHA-256' || mechanism === 'SCRAM-SHA-512') {
      return new ScramExchange(mechanism, this.#scram[mechanism]);
    }
    return undefined;
  }
}

/** PLAIN (RFC 4616): `authorization NUL user NUL password`, in one message. */
function plainExchange(users: Users): SaslExchange {
  return {
    mechanism: 'PLAIN',
    next: (message) => {
      const parts = message.toString('utf8').split('\0');
      const [authorization = '', user = '', password = ''] = parts;
      const isAsSelf = authorization === '' || authorization === user;
      if (parts.length !== 3 || user === '' || !isAsSelf) throw loginRefused();
      const expected = users.get(user);
      if (expected === undefined || !isSame(Buffer.from(password), Buffer.from(expected))) throw loginRefused();
      return { reply: Buffer.alloc(0), user };
    },
  };
}

/** In a time that does not tell where the two part. */
export function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
