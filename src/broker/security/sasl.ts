import { isSameSecret } from '../../protocol/scram.ts';
import type { SaslExchange } from '../server/handler.ts';
import { loginRefused, type Users } from './credentials.ts';
import { ScramExchange, ScramVerifiers } from './scram.ts';

export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];

type Verifiers = { readonly [Mechanism in Exclude<SaslMechanism, 'PLAIN'>]: ScramVerifiers };

/** Begins logins. */
export class Sasl {
  readonly #users: Users;
  readonly #scram: Verifiers;

  private constructor(users: Users, scram: Verifiers) {
    this.#users = users;
    this.#scram = scram;
  }

  static async of(users: Users): Promise<Sasl> {
    const [sha256, sha512] = await Promise.all([
      ScramVerifiers.of('sha256', users),
      ScramVerifiers.of('sha512', users),
    ]);
    return new Sasl(users, { 'SCRAM-SHA-256': sha256, 'SCRAM-SHA-512': sha512 });
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
      if (expected === undefined || !isSameSecret(Buffer.from(password), Buffer.from(expected))) throw loginRefused();
      return { reply: Buffer.alloc(0), user };
    },
  };
}
