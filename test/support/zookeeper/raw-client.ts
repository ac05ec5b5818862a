import { once } from 'node:events';
import { promisify } from 'node:util';
import { ACL, type Client, createClient, Id, type Option, Permission, type Stat } from 'node-zookeeper-client';

/** A plain client, to look behind an adapter's back. */
export class RawClient {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async open(
    hosts: readonly string[],
    session?: { readonly id: Buffer; readonly password: Buffer },
  ): Promise<RawClient> {
    const options: Partial<Option> & { sessionId?: Buffer; sessionPassword?: Buffer } = {
      sessionTimeout: 4_000,
      ...(session && { sessionId: session.id, sessionPassword: session.password }),
    };
    const client = createClient(hosts.join(), options);
    const connected = once(client, 'connected');
    client.connect();
    await connected;
    return new RawClient(client);
  }

  async create(path: string, data = ''): Promise<void> {
    await promisify<void>((done) => this.#client.create(path, Buffer.from(data), (error) => done(error)))();
  }

  async remove(path: string): Promise<void> {
    await promisify<void>((done) => this.#client.remove(path, done))();
  }

  async read(path: string): Promise<string> {
    return promisify<string>((done) => this.#client.getData(path, (error, data) => done(error, data?.toString())))();
  }

  async children(path: string): Promise<string[]> {
    return promisify<string[]>((done) => this.#client.getChildren(path, done))();
  }

  /** The session that an ephemeral node lives with, in hexadecimal; undefined if there is no node. */
  async owner(path: string): Promise<string | undefined> {
    const stat = await promisify<Stat | null>((done) => this.#client.exists(path, done))();
    return stat?.ephemeralOwner.toString('hex');
  }

  /** Lets anybody look at the node, and make others under it only if `open`. */
  async allow(path: string, open: boolean): Promise<void> {
    const permissions = open ? Permission.ALL : Permission.READ | Permission.ADMIN;
    const acl = [new ACL(permissions, new Id('world', 'anyone'))];
    await promisify<void>((done) => this.#client.setACL(path, acl, (error) => done(error)))();
  }

  async close(): Promise<void> {
    const gone = once(this.#client, 'disconnected');
    this.#client.close();
    await gone;
  }
}
