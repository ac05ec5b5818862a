import { Calls, type ServedProtocol } from './calls.ts';
import type { HandshakeRequest, HandshakeResponse } from './wire/handshake.ts';
import { foreignProtocol, type Protocol, protocolHash } from './wire/protocol.ts';

/** Protocols of clients that are remembered, so that each is sent once. */
const rememberedMax = 256;
/** Their texts together, in bytes: what avsc makes of a text takes memory in proportion to it. */
const rememberedTextBytesMax = 4 * 1024 * 1024;

interface Remembered {
  readonly calls: Calls;
  readonly textBytes: number;
}

export interface Agreed {
  readonly response: HandshakeResponse;
  /** undefined: the client has to send its protocol first. */
  readonly calls: Calls | undefined;
}

/**
 * Decides which protocol a client speaks and which of ours it is served. What a client's protocol is, is remembered by a hash
 * of ours: by one of its own choosing it could put its protocol under the hash of another's.
 */
export class Handshakes {
  /** The first one is for clients of which nothing is known. */
  readonly #served: readonly [ServedProtocol, ...ServedProtocol[]];
  /** By the hash of the client's protocol in hex; what is used last stands last. */
  readonly #remembered = new Map<string, Remembered>();
  #rememberedTextBytes = 0;
  readonly #own: ReadonlyMap<string, Calls>;
  #isBusy = false;

  constructor(served: readonly [ServedProtocol, ...ServedProtocol[]]) {
    this.#served = served;
    this.#own = new Map(served.map((each) => [each.protocol.hash.toString('hex'), new Calls(each, each.protocol)]));
  }

  /** Throws a `SchemaRefusedError`. */
  agree({ clientHash, clientProtocol, serverHash }: HandshakeRequest): Agreed {
    const calls = this.#known(clientHash) ?? (clientProtocol === null ? undefined : this.#learn(clientProtocol));
    if (calls === undefined) {
      const { protocol } = this.#served.find(({ protocol: { hash } }) => hash.equals(serverHash)) ?? this.#served[0];
      return { calls, response: { match: 'NONE', serverProtocol: protocol.text, serverHash: protocol.hash } };
    }
    const { text, hash } = calls.served.protocol;
    return hash.equals(serverHash)
      ? { calls, response: { match: 'BOTH', serverProtocol: null, serverHash: null } }
      : { calls, response: { match: 'CLIENT', serverProtocol: text, serverHash: hash } };
  }

  /** How many protocols of clients are remembered. */
  get size(): number {
    return this.#remembered.size;
  }

  /**
   * Whether a client's protocol was compiled in this turn of the event loop, which can take tens of milliseconds: another's
   * first frame should wait for the next turn.
   */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  #known(clientHash: Buffer): Calls | undefined {
    const name = clientHash.toString('hex');
    const own = this.#own.get(name);
    if (own !== undefined) return own;
    const remembered = this.#remembered.get(name);
    if (remembered === undefined) return undefined;
    this.#remembered.delete(name);
    this.#remembered.set(name, remembered);
    return remembered.calls;
  }

  #learn(text: string): Calls {
    const hash = protocolHash(text);
    const known = this.#known(hash);
    if (known !== undefined) return known;
    this.#beBusy();
    const client = foreignProtocol(text, hash);
    const calls = new Calls(this.#servedTo(client), client);
    this.#remember(hash.toString('hex'), { calls, textBytes: Buffer.byteLength(text) });
    return calls;
  }

  #beBusy(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    setImmediate(() => {
      this.#isBusy = false;
    });
  }

  #remember(name: string, remembered: Remembered): void {
    this.#remembered.set(name, remembered);
    this.#rememberedTextBytes += remembered.textBytes;
    for (const [oldest, { textBytes }] of this.#remembered) {
      if (this.#remembered.size <= rememberedMax && this.#rememberedTextBytes <= rememberedTextBytesMax) return;
      this.#remembered.delete(oldest);
      this.#rememberedTextBytes -= textBytes;
    }
  }

  /** The protocol of the client's name; for a client that has renamed its own, the one that has all of its messages. */
  #servedTo(client: Protocol): ServedProtocol {
    const names = [...client.messages.keys()];
    return (
      this.#served.find(({ protocol }) => protocol.name === client.name) ??
      this.#served.find(({ protocol }) => names.every((name) => protocol.messages.has(name))) ??
      this.#served[0]
    );
  }
}
