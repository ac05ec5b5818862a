/** Four times what a ZooKeeper lets through as it comes (jute.maxbuffer), and room for 100,000 members. */
const messageBytesMax = 4 * 1024 * 1024;

/** The header of a reply, after the length: nothing that a server sends is shorter. */
const headerBytes = 16;
const statBytes = 68;
const passwordBytes = 16;

/** The requests made here, by their number in the protocol. */
export const operations = { create: 1, exists: 3, children: 12, closeSession: -11 } as const;

/** Transaction numbers that answer no request. */
export const unasked = { notification: -1, ping: -2 } as const;

/** The server sent what no ZooKeeper sends. */
export class BadMessage extends Error {
  override readonly name = 'BadMessage';
}

/**
 * Cuts the bytes of a server into messages, length and all. Memory is taken once per message, when its length is known to be
 * sensible.
 */
export class MessageReader {
  #message: Buffer = Buffer.alloc(4);
  #filled = 0;

  *read(chunk: Buffer): Generator<Buffer> {
    for (let at = 0; at < chunk.length; ) {
      const taken = chunk.copy(this.#message, this.#filled, at);
      at += taken;
      this.#filled += taken;
      if (this.#filled < this.#message.length) continue;
      if (this.#filled === 4) {
        this.#message = withRoom(this.#message);
      } else {
        yield this.#message;
        this.#message = Buffer.alloc(4);
        this.#filled = 0;
      }
    }
  }
}

function withRoom(length: Buffer): Buffer {
  const bytes = length.readInt32BE(0);
  if (bytes < headerBytes || bytes > messageBytesMax) throw new BadMessage(`a message of ${bytes} bytes`);
  const message = Buffer.alloc(4 + bytes);
  length.copy(message);
  return message;
}

/** Throws unless `message` can be the answer to the first request of a connection, which asks for a session. */
export function checkSessionAnswer(message: Buffer): void {
  const walk = new Walk(message, 4);
  walk.skip(4 + 4 + 8);
  if (walk.int() !== passwordBytes) throw new BadMessage('a session without a password');
  walk.skip(passwordBytes);
}

export interface ReplyHeader {
  readonly xid: number;
  /** 0 if the request was granted. */
  readonly error: number;
}

export function replyHeader(message: Buffer): ReplyHeader {
  return { xid: message.readInt32BE(4), error: message.readInt32BE(16) };
}

/** Throws unless `message` has, after its header, the path of a watched node. */
export function checkNotification(message: Buffer): void {
  const walk = new Walk(message, 4 + headerBytes);
  walk.skip(4 + 4);
  walk.text();
}

/** Throws unless `message` has, after its header, what the operation answers when it is granted. */
export function checkReply(message: Buffer, operation: number): void {
  const walk = new Walk(message, 4 + headerBytes);
  switch (operation) {
    case operations.create:
      walk.text();
      break;
    case operations.exists:
      walk.skip(statBytes);
      break;
    case operations.children:
      for (let left = walk.int(); left !== 0; left -= 1) walk.text();
      walk.skip(statBytes);
      break;
    case operations.closeSession:
      break;
    default:
      throw new BadMessage(`a reply to operation ${operation}, which is not made here`);
  }
}

/** Goes over the fields of a message and throws where one would end beyond it. */
class Walk {
  readonly #message: Buffer;
  #at: number;

  constructor(message: Buffer, at: number) {
    this.#message = message;
    this.#at = at;
  }

  skip(bytes: number): void {
    if (bytes < 0 || this.#at + bytes > this.#message.length) throw new BadMessage(`a field of ${bytes} bytes`);
    this.#at += bytes;
  }

  int(): number {
    this.skip(4);
    return this.#message.readInt32BE(this.#at - 4);
  }

  text(): void {
    this.skip(this.int());
  }
}
