import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * What both ends of SCRAM compute (RFC 5802; RFC 7677 for SHA-256). Names and passwords are taken as their bytes in UTF-8, as Kafka
 * does: it has no SASLprep.
 */
export type ScramHash = 'sha256' | 'sha512';

/** What RFC 7677 asks for at least, and Kafka's default. */
export const scramIterationsMin = 4096;
export const scramNonceBytes = 24;
/** The beginning of every client's first message: no channel binding, and no other identity than the user's own. */
export const gs2Header = 'n,,';

const hashBytes = { sha256: 32, sha512: 64 } as const;
const derived = promisify(pbkdf2);

export interface ScramKeys {
  readonly clientKey: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

export async function scramKeys(
  hash: ScramHash,
  { password, salt, iterations }: { readonly password: string; readonly salt: Buffer; readonly iterations: number },
): Promise<ScramKeys> {
  const salted = await derived(password, salt, iterations, hashBytes[hash], hash);
  const clientKey = scramMac(hash, salted, 'Client Key');
  return { clientKey, storedKey: scramDigest(hash, clientKey), serverKey: scramMac(hash, salted, 'Server Key') };
}

export function scramMac(hash: ScramHash, key: Buffer, text: string): Buffer {
  return createHmac(hash, key).update(text).digest();
}

export function scramDigest(hash: ScramHash, bytes: Buffer): Buffer {
  return createHash(hash).update(bytes).digest();
}

/** Both of one length: the client's key and signature make the proof, proof and signature the key. */
export function scramXor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ b[index]!));
}

/** In a time that does not tell where the two part. */
export function isSameSecret(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A name as it stands in a message, where a comma and an equals sign have meanings of their own. */
export function escapedName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

/** `=2C` stands for a comma and `=3D` for an equals sign; undefined: the name holds another escape. */
export function unescapedName(name: string): string | undefined {
  return /=(?!2C|3D)/.test(name) ? undefined : name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}
