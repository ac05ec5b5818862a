import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import type { HandshakeResponse } from '../../../src/avro/wire/handshake.ts';
import { type Client, connect } from '../../../src/client/client.ts';
import { faultOf } from './fault.ts';
import { database, framed, otherProtocol, type ScriptedCall, ScriptedNode } from './scripted-node.ts';

/** In which attempts at a pace without bounds would be thousands. */
const timeoutMs = 400;
const attemptsMax = 12;

describe('a client of a node that means harm', () => {
  let node: ScriptedNode;
  const clients: Client[] = [];

  beforeEach(async () => {
    node = await ScriptedNode.start();
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await node.stop();
  });

  async function connected(options: { timeoutMs: number } = { timeoutMs }): Promise<Client> {
    const client = await connect({ nodes: [node.address], ...options });
    clients.push(client);
    return client;
  }

  const greetings: Record<string, [greet: (socket: Socket) => void, why: string]> = {
    'closes at once': [(socket) => void socket.end(), 'the node closed the connection'],
    'resets at once': [(socket) => void socket.resetAndDestroy(), 'ECONNRESET'],
    'speaks HTTP': [(socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), 'a message has 1 to'],
    'sends noise': [
      (socket) => void socket.write(Buffer.concat([Buffer.from('ffffffff', 'hex'), randomBytes(100)])),
      'makes no sense',
    ],
    'announces buffers without end': [
      (socket) => void socket.write(Buffer.from('000000017fffffff', 'hex')),
      'a message has 1 to',
    ],
    'announces a buffer below nothing': [
      (socket) => void socket.write(Buffer.from('0000000100000001fffffffc', 'hex')),
      'a buffer has -4',
    ],
    'announces more than any answer has': [
      (socket) => void socket.write(Buffer.from('00000001000000017fffffff', 'hex')),
      'at most 134217728 bytes',
    ],
    'answers with an empty message': [(socket) => void socket.write(framed(1, Buffer.alloc(0))), 'beyond the end'],
    'says nothing': [() => {}, 'it took too long to connect'],
  };
  for (const [what, [greet, why]] of Object.entries(greetings)) {
    it(`gives up, at a measured pace, a node that ${what}`, async () => {
      node.onConnection = (socket) => {
        greet(socket);
        return false;
      };
      const error = await faultOf(connected());
      expect(error.code).to.equal('unavailable');
      expect(error.detail).to.include(why);
      expect(node.connections).to.be.at.most(attemptsMax);
    });
  }

  const none: HandshakeResponse = { match: 'NONE', serverProtocol: null, serverHash: null };
  const offers: Record<string, [offer: HandshakeResponse, why: string]> = {
    'never takes the client’s protocol': [none, 'it does not take the protocol that it was sent'],
    'keeps its own protocol to itself': [{ ...none, match: 'CLIENT' }, 'it keeps its protocol to itself'],
    'has a protocol that is not JSON': [{ ...none, match: 'CLIENT', serverProtocol: '{' }, 'a protocol is JSON'],
    'has a protocol of no messages’ types': [
      {
        ...none,
        match: 'CLIENT',
        serverProtocol: '{"protocol":"P","messages":{"get":{"request":[],"response":"Nix"}}}',
      },
      'not an Avro protocol',
    ],
    'has a protocol of great size': [
      { ...none, match: 'CLIENT', serverProtocol: `{"doc":"${'x'.repeat(70_000)}"}` },
      'at most 65536 bytes',
    ],
  };
  for (const [what, [offer, why]] of Object.entries(offers)) {
    it(`gives up, at a measured pace, a node that ${what}`, async () => {
      node.onHandshake = () => offer;
      const error = await faultOf(connected());
      expect(error.code).to.equal('unavailable');
      expect(error.detail).to.include(why);
      expect(node.connections).to.be.at.most(attemptsMax);
    });
  }

  it('sends its protocol once to a node that asks for it', async () => {
    const asked: (string | null)[] = [];
    node.onHandshake = ({ clientProtocol }) => {
      asked.push(clientProtocol);
      if (clientProtocol === null) return { match: 'NONE', serverProtocol: database.text, serverHash: database.hash };
      return { match: 'BOTH', serverProtocol: null, serverHash: null };
    };
    node.onCall = (call) => call.reading('v');
    const client = await connected({ timeoutMs: 60_000 });
    expect((await client.get('k'))?.value.toString()).to.equal('v');
    expect(asked).to.deep.equal([null, database.text]);
  });

  const answers: Record<string, (call: ScriptedCall) => void> = {
    'is of another type': ({ socket, serial }) => void socket.write(framed(serial, Buffer.from([0, 0, 9, 9, 9]))),
    'is cut short': ({ socket, serial }) => void socket.write(framed(serial, Buffer.from([0, 0]))),
    'is followed by more': ({ socket, serial }) =>
      void socket.write(framed(serial, Buffer.from([0, 0, 0, 0, 0, 0, 0]))),
    'has a count without end': ({ socket, serial }) =>
      void socket.write(framed(serial, Buffer.from('fcffffff0f', 'hex'))),
    'is an error of no type': ({ socket, serial }) => void socket.write(framed(serial, Buffer.from([0, 1, 6]))),
    'never comes, since the node closes': ({ socket }) => void socket.end(),
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(`ends in typed errors, at a measured pace, when an answer ${what}`, async () => {
      node.onCall = answer;
      const client = await connected();
      expect(await faultOf(client.put('k', 'v'))).to.include({ code: 'write_outcome_unknown', status: 504 });
      expect(await faultOf(client.get('k'))).to.include({ code: 'unavailable' });
      expect(node.calls.filter(({ message }) => message === 'put')).to.have.length(1);
      expect(node.connections).to.be.at.most(attemptsMax);
    });
  }

  it('passes over answers to nobody', async () => {
    node.onCall = (call) => {
      for (let serial = call.serial + 1; serial < call.serial + 1_000; serial += 1) {
        call.socket.write(framed(serial, Buffer.from([0, 0, 7])));
      }
      call.reading('mine');
      call.reading('mine again');
    };
    const client = await connected({ timeoutMs: 60_000 });
    expect((await client.get('k'))?.value.toString()).to.equal('mine');
    expect((await client.get('k'))?.value.toString()).to.equal('mine');
    expect(node.connections).to.equal(1);
  });

  it('turns a node away, at a measured pace, that always says it is shutting down', async () => {
    node.onCall = (call) => call.fail('shutting_down', 503);
    const client = await connected();
    expect(await faultOf(client.get('k'))).to.include({ code: 'unavailable' });
    expect(node.connections).to.be.at.most(attemptsMax);
  });

  it('takes memory for what has come of an answer, not for what is announced', async () => {
    node.onCall = ({ socket, serial }) => {
      const head = framed(serial, Buffer.alloc(0));
      head.writeInt32BE(120 * 1024 * 1024, 8);
      socket.write(Buffer.concat([head, Buffer.alloc(100)]));
    };
    const before = process.memoryUsage().arrayBuffers;
    const all = await Promise.all(Array.from({ length: 8 }, () => connected()));
    await Promise.all(all.map((client) => faultOf(client.get('k'))));
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(32 * 1024 * 1024);
  });

  describe('or is only of another version', () => {
    it('reads answers that have more to them, and sends what is asked for less', async () => {
      node.protocol = otherProtocol((json) => {
        json.types
          .find(({ name }: { name: string }) => name === 'Value')
          .fields.unshift({ name: 'epoch', type: 'int' });
        json.messages.put.request.push({ name: 'note', type: 'string', default: 'none' });
        json.messages.remove.request.pop();
      });
      node.onCall = (call) => {
        if (call.message !== 'get') return call.written(4);
        const found = {
          epoch: 9,
          value: Buffer.from('v'),
          partition: 0,
          offset: 3,
          timestampMs: 1,
          expiresAtMs: null,
          contentType: 'a/b',
        };
        return call.answer({ found, source: 'LOG', partition: 0, position: 4 });
      };
      const client = await connected({ timeoutMs: 60_000 });
      expect(await client.get('k')).to.include({ offset: 3, contentType: 'a/b' });
      expect(await client.put('k', 'v')).to.include({ offset: 4 });
      expect(await client.delete('k')).to.include({ offset: 4 });
      expect(node.calls.map(({ parameters: { note, wait } }) => [note, wait])).to.deep.equal([
        [undefined, undefined],
        ['none', 'APPLIED'],
        [undefined, undefined],
      ]);
    });

    it('says of a message that the node has not, or answers otherwise, that it is unknown, and sends nothing', async () => {
      node.protocol = otherProtocol((json) => {
        delete json.messages.multiPut;
        json.messages.remove.response = 'string';
      });
      node.onCall = (call) => call.written();
      const client = await connected({ timeoutMs: 60_000 });
      expect(await faultOf(client.putMany([]))).to.include({ code: 'message_unknown', status: 404 });
      expect(await faultOf(client.delete('k'))).to.include({ code: 'message_unknown', status: 404 });
      await client.put('k', 'v');
      expect(node.calls.map(({ message }) => message)).to.deep.equal(['put']);
    });

    it('makes sense of errors of types that it does not know', async () => {
      node.protocol = otherProtocol((json) => {
        const fields = [
          { name: 'code', type: 'string' },
          { name: 'status', type: 'int' },
          { name: 'detail', type: 'string' },
          { name: 'more', type: 'int' },
        ];
        json.types.push(
          { type: 'error', name: 'Refusal', fields },
          { type: 'error', name: 'Riddle', fields: [{ name: 'riddle', type: 'string' }] },
        );
        json.messages.get.errors.push('Refusal', 'Riddle');
      });
      const client = await connected({ timeoutMs: 60_000 });
      node.onCall = (call) =>
        call.failWith({ 'bitacora.rpc.Refusal': { code: 'forbidden', status: 403, detail: 'no', more: 1 } });
      expect(await faultOf(client.get('k'))).to.include({ code: 'forbidden', status: 403, detail: 'no' });
      node.onCall = (call) => call.failWith({ string: 'key_empty: it is' });
      expect(await faultOf(client.get('k'))).to.include({ code: 'key_empty', status: 400, detail: 'it is' });
      node.onCall = (call) => call.failWith({ 'bitacora.rpc.Riddle': { riddle: 'what' } });
      expect(await faultOf(client.get('k'))).to.include({ code: 'internal', status: 500 });
    });
  });
});
