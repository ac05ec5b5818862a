import { KafkaError } from '../../protocol/errors.ts';
import { includesVersion, type Message } from '../../protocol/schema.ts';
import { WireError, WireReader, WireWriter } from '../../protocol/wire.ts';

/** What stands before the body of a request. */
export interface RequestHeader {
  readonly apiKey: number;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
  readonly bodyStart: number;
}

const apiVersionsKey = 18;

/**
 * The header of the request in `frame`, up to what depends on the API: `apiOf` finds the message by key. An unknown key is answered
 * by closing the connection, so the rest is not needed then. Throws a `WireError`.
 */
export function readRequestHeader(frame: Buffer, apiOf: (apiKey: number) => Message | undefined): RequestHeader {
  const reader = new WireReader(frame);
  const apiKey = reader.int16();
  const version = reader.int16();
  const correlationId = reader.int32();
  const message = apiOf(apiKey);
  if (message === undefined) throw new WireError(`there is no API ${apiKey} here`);
  const length = reader.int16();
  if (length < -1) throw new WireError(`a client id announces ${length} bytes`);
  const clientId = length === -1 ? '' : reader.text(length);
  // A version that is not known has a header that is not known either, but for ApiVersions, whose clients find out by it.
  if (includesVersion(message.versions, version) && includesVersion(message.flexible, version)) skipTags(reader);
  return { apiKey, version, correlationId, clientId, bodyStart: reader.at };
}

function skipTags(reader: WireReader): void {
  const count = reader.uvarint();
  reader.expectElements(count);
  for (let left = count; left > 0; left -= 1) {
    reader.uvarint();
    reader.skip(reader.uvarint());
  }
}

/**
 * A whole response with its length before it, in pieces to be sent one after the other. `roomBytes`: how much of it there is about to
 * be, beside records.
 */
export function writeResponse(
  message: Message,
  value: unknown,
  { version, correlationId, roomBytes = 256 }: { version: number; correlationId: number; roomBytes?: number },
): Buffer[] {
  const writer = new WireWriter(roomBytes);
  writer.int32(0);
  writer.int32(correlationId);
  // A client that does not know which versions there are must be able to read the answer that tells it (KIP-511).
  const isFlexible = message.apiKey !== apiVersionsKey && includesVersion(message.flexible, version);
  if (isFlexible) writer.uvarint(0);
  message.encode(writer, value as never, version);
  writer.int32At(0, writer.length - 4);
  return writer.finishParts();
}

/** Puts a stream of bytes together into frames: an int32 length, then so many bytes. */
export class FrameAssembler {
  readonly #frameBytesMax: () => number;
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;

  /** `frameBytesMax` is asked for each frame, because it may grow once a client has logged in. */
  constructor(frameBytesMax: () => number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Takes bytes and answers the frames that are complete by them, in memory of their own or of `chunk`. Throws a `KafkaError` for a
   * length that is not allowed: nothing after it can be trusted.
   */
  push(chunk: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#heldBytes === 0 && rest.length >= 4) {
        const bytes = this.#checked(rest.readInt32BE(0));
        if (rest.length - 4 >= bytes) {
          frames.push(rest.subarray(4, 4 + bytes));
          rest = rest.subarray(4 + bytes);
          continue;
        }
      }
      rest = this.#hold(rest, frames);
    }
    return frames;
  }

  /** Keeps bytes until their frame is whole; answers what is left. Memory grows with what has come, not with what is announced. */
  #hold(bytes: Buffer, frames: Buffer[]): Buffer {
    const wanted = this.#heldBytes < 4 ? 4 : 4 + this.#checked(this.#held.readInt32BE(0));
    const taken = Math.min(bytes.length, wanted - this.#heldBytes);
    if (this.#held.length < this.#heldBytes + taken) {
      const grown = Buffer.allocUnsafe(Math.min(wanted, Math.max(this.#heldBytes + taken, this.#held.length * 2)));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes, 0, taken);
    this.#heldBytes += taken;
    if (this.#heldBytes >= 4 && this.#heldBytes === 4 + this.#checked(this.#held.readInt32BE(0))) {
      frames.push(this.#held.subarray(4, this.#heldBytes));
      this.#held = Buffer.alloc(0);
      this.#heldBytes = 0;
    }
    return bytes.subarray(taken);
  }

  #checked(bytes: number): number {
    const max = this.#frameBytesMax();
    if (bytes >= 0 && bytes <= max) return bytes;
    throw new KafkaError('INVALID_REQUEST', `a request of ${bytes} bytes is announced, and ${max} are the limit`);
  }
}
