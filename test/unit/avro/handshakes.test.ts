import { expect } from 'chai';
import type { ServedProtocol } from '../../../src/avro/calls.ts';
import { type Agreed, Handshakes } from '../../../src/avro/handshakes.ts';
import { SchemaRefusedError } from '../../../src/avro/wire/bounds.ts';
import { ownProtocol } from '../../../src/avro/wire/protocol.ts';
import { md5 } from '../../support/avro/avro-bytes.ts';

const database = ownProtocol('database.avpr');
const original = ownProtocol('rpc.avpr');
const unknown = Buffer.alloc(16, 0xab);
const rememberedMax = 256;

const served = (protocol: ServedProtocol['protocol']): ServedProtocol => ({
  protocol,
  handlers: {},
  failureOf: ({ message }) => message,
});

/** A protocol of its own name, with messages that take and answer nothing. */
function foreign(protocol: string, ...names: string[]): string {
  const messages = Object.fromEntries(names.map((name) => [name, { request: [], response: 'null' }]));
  return JSON.stringify({ protocol, messages });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('handshakes', () => {
  let handshakes: Handshakes;
  beforeEach(() => {
    handshakes = new Handshakes([served(database), served(original)]);
  });

  const agree = (clientHash: Buffer, clientProtocol: string | null = null, serverHash: Buffer = unknown): Agreed =>
    handshakes.agree({ clientHash, clientProtocol, serverHash });
  const learn = (text: string, serverHash?: Buffer): Agreed => agree(md5(text), text, serverHash);
  const servedName = ({ calls }: Agreed): string | undefined => calls?.served.protocol.name;

  it('match on both sides when each knows the other’s hash: nothing more is said', () => {
    for (const { hash, name } of [database, original]) {
      const agreed = agree(hash, null, hash);
      expect(agreed.response).to.deep.equal({ match: 'BOTH', serverProtocol: null, serverHash: null });
      expect(servedName(agreed)).to.equal(name);
    }
  });

  it('match on the client’s side when it takes the server for another: it is told the protocol', () => {
    for (const [client, taken] of [
      [database, unknown],
      [original, unknown],
      [original, database.hash],
      [database, original.hash],
    ] as const) {
      const agreed = agree(client.hash, null, taken);
      expect(agreed.response).to.deep.equal({ match: 'CLIENT', serverProtocol: client.text, serverHash: client.hash });
      expect(servedName(agreed)).to.equal(client.name);
    }
  });

  it('do not match when the client is not known, and it is told the protocol whose hash it named, or else ours', () => {
    for (const [taken, told] of [
      [unknown, database],
      [database.hash, database],
      [original.hash, original],
    ] as const) {
      const { response, calls } = agree(unknown, null, taken);
      expect(response).to.deep.equal({ match: 'NONE', serverProtocol: told.text, serverHash: told.hash });
      expect(calls).to.equal(undefined);
    }
  });

  it('take a protocol that is sent, and know it by its hash from then on', () => {
    const text = foreign('bitacora.rpc.Database', 'get');
    expect(agree(md5(text)).response.match).to.equal('NONE');
    expect(learn(text).response.match).to.equal('CLIENT');
    expect(learn(text, database.hash).response.match).to.equal('BOTH');
    const again = agree(md5(text), null, database.hash);
    expect([again.response.match, servedName(again)]).to.deep.equal(['BOTH', database.name]);
    expect(handshakes.size).to.equal(1);
  });

  it('make one set of calls of a protocol, however many clients send it', () => {
    const text = foreign('bitacora.rpc.Database', 'get');
    expect(learn(text).calls).to.equal(learn(text).calls);
    expect(learn(database.text).calls).to.equal(agree(database.hash).calls);
    expect(handshakes.size).to.equal(1);
  });

  it('remember a protocol by its own hash, never by one that a client says it has', () => {
    const text = foreign('bitacora.rpc.Database', 'get');
    const victim = foreign('bitacora.rpc.Database', 'get', 'put');
    expect(agree(md5(victim), text).calls).not.to.equal(undefined);
    expect(agree(md5(victim)).response.match).to.equal('NONE');
    expect(agree(md5(text)).response.match).to.equal('CLIENT');
    expect(learn(victim).calls).not.to.equal(agree(md5(text)).calls);
  });

  it('go by a hash that is known, whatever protocol is sent with it', () => {
    const text = foreign('Other', 'getValue');
    expect(agree(database.hash, text).calls).to.equal(agree(database.hash).calls);
    expect(agree(original.hash, 'no protocol').calls).to.equal(agree(original.hash).calls);
    expect(handshakes.size).to.equal(0);
  });

  it('refuse what is no protocol, and remember nothing of it', () => {
    for (const text of ['', '{}', '[]', foreign('P', 'toString')]) {
      expect(() => learn(text), text).to.throw(SchemaRefusedError);
    }
    expect(handshakes.size).to.equal(0);
  });

  it('remember so many protocols, and forget the one that was not used for longest', () => {
    const textOf = (i: number) => foreign(`Client${i}`, 'get');
    for (let i = 0; i < rememberedMax; i += 1) learn(textOf(i));
    // The first two are used again, one by its hash and one by its text.
    agree(md5(textOf(0)));
    learn(textOf(1));
    learn(textOf(rememberedMax));
    expect(handshakes.size).to.equal(rememberedMax);
    const isKnown = (i: number) => agree(md5(textOf(i))).calls !== undefined;
    expect([0, 1, 2, 3, rememberedMax].map(isKnown)).to.deep.equal([true, true, false, true, true]);
    expect(agree(database.hash).calls).not.to.equal(undefined);
  });

  it('remember so many bytes of protocols, and forget those that were not used for longest', () => {
    // 80 of them are 4 MiB less a little.
    const textOf = (i: number, bytes = 52_000) => {
      const text = foreign(`Client${i}`, 'get');
      return text + ' '.repeat(bytes - text.length);
    };
    for (let i = 0; i < 80; i += 1) learn(textOf(i));
    expect(handshakes.size).to.equal(80);
    agree(md5(textOf(0)));
    // For the first there is room still; for the second there is when two have gone.
    learn(textOf(80, 30_000));
    expect(handshakes.size).to.equal(81);
    learn(textOf(81, 60_000));
    const known = [0, 1, 2, 3, 80, 81].map((i) => {
      const bytes = { 80: 30_000, 81: 60_000 }[i];
      return agree(md5(textOf(i, bytes))).calls !== undefined;
    });
    expect(known).to.deep.equal([true, false, false, true, true, true]);
    // What has gone takes no room: all that is learned anew stays, up to the bound.
    for (let i = 100; i < 180; i += 1) learn(textOf(i));
    expect(handshakes.size).to.equal(80);
  });

  it('are busy from when they compile a protocol to the next turn of the event loop', async () => {
    const text = foreign('bitacora.rpc.Database', 'get');
    agree(md5(text));
    learn(database.text);
    expect(handshakes.isBusy).to.equal(false);
    learn(text);
    expect(handshakes.isBusy).to.equal(true);
    await Promise.resolve();
    expect(handshakes.isBusy).to.equal(true);
    await turn();
    expect(handshakes.isBusy).to.equal(false);
    // To be refused takes as long.
    expect(() => learn(foreign('P', 'toString'))).to.throw(SchemaRefusedError);
    expect(handshakes.isBusy).to.equal(true);
    await turn();
    expect(handshakes.isBusy).to.equal(false);
  });

  it('compile no protocol that they know already, whatever hash is sent with it, and none that is too long', async () => {
    const text = foreign('bitacora.rpc.Database', 'get');
    const { calls } = learn(text);
    await turn();
    for (const hash of [unknown, md5(text)]) expect(agree(hash, text).calls).to.equal(calls);
    expect(agree(unknown, database.text).calls).to.equal(agree(database.hash).calls);
    expect(() => agree(unknown, ' '.repeat(70_000))).to.throw(SchemaRefusedError);
    expect(handshakes.isBusy).to.equal(false);
  });

  describe('serve a client of another protocol', () => {
    for (const [what, text, name] of [
      ['the one of its name, whatever its messages', foreign(original.name, 'get', 'put'), original.name],
      ['the one of its name, though it has none of the messages', foreign(database.name, 'getValue'), database.name],
      ['the original, when it has all of its messages', foreign('Mine', 'getValue', 'delete'), original.name],
      ['ours, when it has all of its messages', foreign('Mine', 'remove'), database.name],
      ['ours, when neither has', foreign('Mine', 'getValue', 'get'), database.name],
      ['ours, when it has no messages', foreign('Mine'), database.name],
    ] as const) {
      it(what, () => expect(servedName(learn(text))).to.equal(name));
    }
  });
});
