import { Calls, type ServedProtocol } from './calls.ts';
import type { HandshakeRequest, HandshakeResponse } from './wire/handshake.ts';
import { foreignProtocol, type Protocol } from './wire/protocol.ts';

/** Protocols of clients that are remembered, so that each is sent once. */
const rememberedMax = 256;

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
  readonly #remembered = new Map<string, Calls>();
  readonly #own: ReadonlyMap<string, Calls>;

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

  #known(clientHash: Buffer): Calls | undefined {
    const name = clientHash.toString('hex');
    const own = this.#own.get(name);
    if (own !== undefined) return own;
    const calls = this.#remembered.get(name);
    if (calls !== undefined) this.#remember(name, calls);
    return calls;
  }

  #learn(text: string): Calls {
    const client = foreignProtocol(text);
    const name = client.hash.toString('hex');
    const calls = this.#known(client.hash) ?? new Calls(this.#servedTo(client), client);
    if (!this.#own.has(name)) this.#remember(name, calls);
    return calls;
  }

  #remember(name: string, calls: Calls): void {
    this.#remembered.delete(name);
    this.#remembered.set(name, calls);
    if (this.#remembered.size > rememberedMax) this.#remembered.delete(this.#remembered.keys().next().value!);
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
