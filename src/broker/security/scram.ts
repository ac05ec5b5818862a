import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { KafkaError } from '../../protocol/errors.ts';
import type { SaslExchange } from '../server/handler.ts';
import { isSame, loginRefused, type Users } from './credentials.ts';

type Hash = 'sha256' | 'sha512';

/** What RFC 7677 asks for at least, and Kafka's default. */
const iterations = 4096;
const saltBytes = 16;
const nonceBytes = 24;
const derived = promisify(pbkdf2);

interface Verifier {
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** What the server keeps of each password (RFC 5802). */
export class ScramVerifiers {
  readonly hash: Hash;
  readonly #byUser = new Map<string, Verifier>();
  /** Gives users that do not exist a salt that stays the same, as if they did. */
  readonly #secret = randomBytes(32);

  private constructor(hash: Hash) {
    this.hash = hash;
  }

  /** All are made now: one that were made at a login would tell by the time it takes that there is such a user. */
  static async of(hash: Hash, users: Users): Promise<ScramVerifiers> {
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

  mac(key: Buffer, text: string | Buffer): Buffer {
    return createHmac(this.hash, key).update(text).digest();
  }

  digest(bytes: Buffer): Buffer {
    return createHash(this.hash).update(bytes).digest();
  }

  async #make(password: string): Promise<Verifier> {
    const salt = randomBytes(saltBytes);
    const salted = await derived(password, salt, iterations, this.hash === 'sha256' ? 32 : 64, this.hash);
    return { salt, storedKey: this.digest(this.mac(salted, 'Client Key')), serverKey: this.mac(salted, 'Server Key') };
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
    const user = unescaped(name);
    const isAsSelf = authorization === '' || unescaped(authorization) === user;
    if (user === undefined || user === '' || !isAsSelf) throw malformed();
    const nonce = clientNonce + randomBytes(nonceBytes).toString('base64url');
    const serverFirst = `r=${nonce},s=${this.#verifiers.saltOf(user).toString('base64')},i=${iterations}`;
    this.#begun = { user, nonce, clientFirst, serverFirst };
    return { reply: Buffer.from(serverFirst), user: undefined };
  }

  #final(text: string, begun: { user: string; nonce: string; clientFirst: string; serverFirst: string }) {
    const [, withoutProof = '', nonce, proof = ''] = /^(c=biws,r=([^,]+)),p=([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
    if (nonce !== begun.nonce) throw malformed();
    const verifier = this.#verifiers.find(begun.user);
    if (verifier === undefined) throw loginRefused();
    const authMessage = `${begun.clientFirst},${begun.serverFirst},${withoutProof}`;
    const clientSignature = this.#verifiers.mac(verifier.storedKey, authMessage);
    const given = Buffer.from(proof, 'base64');
    if (given.length !== clientSignature.length) throw loginRefused();
    const clientKey = Buffer.from(given.map((byte, index) => byte ^ clientSignature[index]!));
    if (!isSame(this.#verifiers.digest(clientKey), verifier.storedKey)) throw loginRefused();
    const signature = this.#verifiers.mac(verifier.serverKey, authMessage);
    return { reply: Buffer.from(`v=${signature.toString('base64')}`), user: begun.user };
  }
}

const malformed = (): KafkaError =>
  new KafkaError('SASL_AUTHENTICATION_FAILED', 'Authentication failed: the SCRAM message is not well-formed');

/** `=2C` stands for a comma and `=3D` for an equals sign; undefined: the name holds another escape. */
function unescaped(name: string): string | undefined {
  return /=(?!2C|3D)/.test(name) ? undefined : name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}
