import { randomBytes } from 'node:crypto';
import {
  escapedName,
  gs2Header,
  isSameSecret,
  type ScramHash,
  scramIterationsMin,
  scramKeys,
  scramMac,
  scramNonceBytes,
  scramXor,
} from '../../protocol/scram.ts';
import type { SaslSettings } from '../kafka-connection.ts';
import { WireClientError } from './client-error.ts';

/** A server that asks for more wants to keep this process busy: OWASP's advice is 600,000. */
const iterationsMax = 1_000_000;

/** Sends one message of the mechanism, and resolves with what the server says to it. */
export type SaslSend = (message: Buffer) => Promise<Buffer>;

/** The client's part of a login. Rejects with a `WireClientError` when the server does not prove that it knows the password too. */
export async function authenticate(settings: SaslSettings, send: SaslSend): Promise<void> {
  switch (settings.mechanism) {
    case 'plain':
      // RFC 4616: authorization identity (none), user, password.
      await send(Buffer.from(`\0${settings.username}\0${settings.password}`));
      return;
    case 'scram-sha-256':
      return scram('sha256', settings, send);
    case 'scram-sha-512':
      return scram('sha512', settings, send);
  }
}

async function scram(hash: ScramHash, { username, password }: SaslSettings, send: SaslSend): Promise<void> {
  const clientNonce = randomBytes(scramNonceBytes).toString('base64url');
  const clientFirst = `n=${escapedName(username)},r=${clientNonce}`;
  const serverFirst = (await send(Buffer.from(gs2Header + clientFirst))).toString('utf8');
  const { nonce, salt, iterations } = challenge(serverFirst, clientNonce);
  const { clientKey, storedKey, serverKey } = await scramKeys(hash, { password, salt, iterations });
  const withoutProof = `c=${Buffer.from(gs2Header).toString('base64')},r=${nonce}`;
  const authMessage = `${clientFirst},${serverFirst},${withoutProof}`;
  const proof = scramXor(clientKey, scramMac(hash, storedKey, authMessage)).toString('base64');
  const serverFinal = (await send(Buffer.from(`${withoutProof},p=${proof}`))).toString('utf8');
  const [, signature = ''] = /^v=([A-Za-z0-9+/=]+)(?:,.*)?$/s.exec(serverFinal) ?? [];
  if (!isSameSecret(Buffer.from(signature, 'base64'), scramMac(hash, serverKey, authMessage))) {
    throw refused('the broker does not prove that it knows the password: it may be somebody else');
  }
}

function challenge(serverFirst: string, clientNonce: string): { nonce: string; salt: Buffer; iterations: number } {
  const [, nonce = '', salt = '', count = ''] =
    /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,9})(?:,.*)?$/s.exec(serverFirst) ?? [];
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length) {
    throw refused('the broker answered SCRAM with a message that is not well-formed');
  }
  const iterations = Number(count);
  if (iterations < scramIterationsMin || iterations > iterationsMax) {
    throw refused(
      `the broker asks for ${iterations} iterations of SCRAM, and ${scramIterationsMin} to ${iterationsMax} are taken`,
    );
  }
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations };
}

const refused = (message: string): WireClientError => new WireClientError('login-refused', message);
