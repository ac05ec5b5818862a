import { createHmac, randomBytes } from 'node:crypto';
import { KafkaError } from '../../protocol/errors.ts';
import {
  isSameSecret,
  type ScramHash,
  type ScramKeys,
  scramDigest,
  scramIterationsMin,
  scramKeys,
  scramMac,
  scramNonceBytes,
  scramXor,
  unescapedName,
} from '../../protocol/scram.ts';
import type { SaslExchange } from '../server/handler.ts';
import { loginRefused, type Users } from './credentials.ts';

const saltBytes = 16;

/** Without the client's key, which whoever has it can log in with. */
interface Verifier extends Omit<ScramKeys, 'clientKey'> {
  readonly salt: Buffer;
}

/** What the server keeps of each password (RFC 5802). */
export class ScramVerifiers {
  readonly hash: ScramHash;
  readonly #byUser = new Map<string, Verifier>();
  /** Gives users that do not exist a salt that stays the same, as if they did. */
  readonly #secret = randomBytes(32);

  private constructor(hash: ScramHash) {
    this.hash = hash;
  }

  /** All are made now: one that were made at a login would tell by the time it takes that there is such a user. */
  static async of(hash: ScramHash, users: Users): Promise<ScramVerifiers> {
    const verifiers = new ScramVerifiers(hash);
    for (const [user, password] of users) verifiers.#byUser.set(user, await verifiers.#make(password));
    return verifiers;
  }

  saltOf(user: string): Buffer {
    return this.find(user)?.salt ?? createHmac('sha256', this.#secret).update(user).digest().subarray(0, saltBytes);
  }

  find(user: string): Verifier | undefined {
    return this.#byUser.get(user);
  }

  async #make(password: string): Promise<Verifier> {
    const salt = randomBytes(saltBytes);
    const { storedKey, serverKey } = await scramKeys(this.hash, { password, salt, iterations: scramIterationsMin });
    return { salt, storedKey, serverKey };
  }
}

/** SCRAM without channel binding (RFC 5802, RFC 7677): two messages each way. */
export class ScramExchange implements SaslExchange {
  readonly mechanism: string;
  readonly #verifiers: ScramVerifiers;
  #begun: { user: string; nonce: string; clientFirst: string; serverFirst: string } | undefined;

  constructor(mechanism: string, verifiers: ScramVerifiers) {
    this.mechanism = mechanism;
    this.#verifiers = verifiers;
  }

  next(message: Buffer): { readonly reply: Buffer; readonly user: string | undefined } {
    const text = message.toString('utf8');
    return this.#begun === undefined ? this.#first(text) : this.#final(text, this.#begun);
  }

  #first(text: string): { reply: Buffer; user: undefined } {
    const [, authorization = '', clientFirst = '', name = '', clientNonce = ''] =
      /^n,(?:a=([^,]*))?,(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/s.exec(text) ?? [];
    const user = unescapedName(name);
    const isAsSelf = authorization === '' || unescapedName(authorization) === user;
    if (user === undefined || user === '' || !isAsSelf) throw malformed();
    const nonce = clientNonce + randomBytes(scramNonceBytes).toString('base64url');
    const serverFirst = `r=${nonce},s=${this.#verifiers.saltOf(user).toString('base64')},i=${scramIterationsMin}`;
    this.#begun = { user, nonce, clientFirst, serverFirst };
    return { reply: Buffer.from(serverFirst), user: undefined };
  }

  #final(text: string, begun: { user: string; nonce: string; clientFirst: string; serverFirst: string }) {
    const { hash } = this.#verifiers;
    const [, withoutProof = '', nonce, proof = ''] = /^(c=biws,r=([^,]+)),p=([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
    if (nonce !== begun.nonce) throw malformed();
    const verifier = this.#verifiers.find(begun.user);
    if (verifier === undefined) throw loginRefused();
    const authMessage = `${begun.clientFirst},${begun.serverFirst},${withoutProof}`;
    const clientSignature = scramMac(hash, verifier.storedKey, authMessage);
    const given = Buffer.from(proof, 'base64');
    if (given.length !== clientSignature.length) throw loginRefused();
    const clientKey = scramXor(given, clientSignature);
    if (!isSameSecret(scramDigest(hash, clientKey), verifier.storedKey)) throw loginRefused();
    const signature = scramMac(hash, verifier.serverKey, authMessage);
    return { reply: Buffer.from(`v=${signature.toString('base64')}`), user: begun.user };
  }
}

const malformed = (): KafkaError =>
  new KafkaError('SASL_AUTHENTICATION_FAILED', 'Authentication failed: the SCRAM message is not well-formed');
