import type { SaslExchange } from '../server/handler.ts';
import { isSame, loginRefused, type Users } from './credentials.ts';
import { ScramExchange, ScramVerifiers } from './scram.ts';

export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];

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
