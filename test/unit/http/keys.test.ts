import { expect } from 'chai';
import fc from 'fast-check';
import { percentDecode } from '../../../src/http/target.ts';
import { type Answer, ask, encodeBytes } from '../../support/http-client.ts';
import { startReadyNode, type TestNode } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

const octets = { Accept: 'application/octet-stream' };

describe('keys and values', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
  });
  after(() => node.stop());

  const raw = (key: string): Promise<Answer> => ask(node, 'GET', `/rpc?key=${key}`, { headers: octets });

  it('are bytes: what went in comes out, and the log has the same', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        fc.uint8Array({ maxLength: 256 }),
        fc.boolean(),
        async (key, value, inBody) => {
          const target = `/rpc?key=${encodeBytes(key)}`;
          const written = inBody
            ? await ask(node, 'PUT', target, { body: value })
            : await ask(node, 'POST', `${target}&value=${encodeBytes(value)}`);
          expect(written.status).to.equal(200);
          const read = await ask(node, 'GET', target, { headers: octets });
          expect(read.status).to.equal(200);
          expect(read.body).to.deep.equal(Buffer.from(value));
          const found = node.database.peek(Buffer.from(key)).found;
          expect(found?.value).to.deep.equal(Buffer.from(value));
          const { key: name, keyEncoding, value: text, encoding } = (await ask(node, 'GET', target)).json();
          expect(Buffer.from(String(name), keyEncoding === 'base64' ? 'base64' : 'utf8')).to.deep.equal(
            Buffer.from(key),
          );
          expect(Buffer.from(String(text), encoding === 'base64' ? 'base64' : 'utf8')).to.deep.equal(
            Buffer.from(value),
          );
          // Any key may be one that another test believes to be absent.
          await ask(node, 'DELETE', target);
        },
      ),
      { numRuns: 100 },
    );
  });

  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

  it('hold every byte there is', async () => {
    const target = `/rpc?key=${encodeBytes(everyByte)}`;
    await ask(node, 'PUT', target, { body: everyByte });
    expect((await ask(node, 'GET', target, { headers: octets })).body).to.deep.equal(everyByte);
  });

  it('are 256 different keys for 256 different bytes', async () => {
    for (const byte of everyByte) await ask(node, 'PUT', `/rpc?key=one%${hex(byte)}&value=%${hex(byte)}`);
    for (const byte of everyByte) {
      expect((await raw(`one%${hex(byte)}`)).body).to.deep.equal(Buffer.from([byte]));
    }
  });

  for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'key', '0', 'null', '%00', '%FF']) {
    it(`may be ${key}`, async () => {
      expect((await raw(key)).status).to.equal(404);
      await ask(node, 'PUT', `/rpc?key=${key}&value=${key}`);
      expect((await raw(key)).body).to.deep.equal(percentDecode(key, 'key'));
      await ask(node, 'DELETE', `/rpc?key=${key}`);
      expect((await raw(key)).status).to.equal(404);
    });
  }

  it('have a space where there is a plus sign, and a plus sign where there is %2B', async () => {
    await ask(node, 'PUT', '/rpc?key=a+b&value=x+y');
    await ask(node, 'PUT', '/rpc?key=a%2Bb&value=x%2By');
    expect((await raw('a%20b')).text).to.equal('x y');
    expect((await raw('a%2bb')).text).to.equal('x+y');
    expect((await ask(node, 'GET', '/rpc?key=a+b')).json().key).to.equal('a b');
    expect((await ask(node, 'GET', '/rpc?key=a%2Bb')).json().key).to.equal('a+b');
  });

  it('take a plus sign in a body as it stands', async () => {
    await ask(node, 'PUT', '/rpc?key=body', { body: 'x+y%20z' });
    expect((await raw('body')).text).to.equal('x+y%20z');
  });

  it('are decoded once', async () => {
    await ask(node, 'PUT', '/rpc?key=%2541&value=%2542');
    expect((await raw('%2541')).text).to.equal('%42');
    expect((await raw('A')).status).to.equal(404);
  });

  it('go on after "=" and end at "&"', async () => {
    await ask(node, 'PUT', '/rpc?value=b=c=&key=a=');
    expect((await raw('a%3D')).text).to.equal('b=c=');
  });

  it('are percent-encoded in the target where they are not ASCII (RFC 3986)', async () => {
    const socket = await HttpSocket.open(node);
    socket.send(Buffer.from('PUT /rpc?key=ü&value=v HTTP/1.1\r\nHost: x\r\n\r\n', 'utf8'));
    const { status, body } = await socket.answer();
    expect([status, JSON.parse(body).code]).to.deep.equal([400, 'request_malformed']);
    await socket.closed();
    expect((await raw('%C3%BC')).status).to.equal(404);
  });

  it('are of 65,536 bytes at most, each of which may be percent-encoded', async () => {
    const longest = Buffer.alloc(65_536, 0xfe);
    const target = `/rpc?key=${encodeBytes(longest)}`;
    expect((await ask(node, 'PUT', `${target}&value=long`)).status).to.equal(200);
    expect((await ask(node, 'GET', target, { headers: octets })).text).to.equal('long');
    for (const path of ['/rpc', '/rpc/cluster']) {
      const answer = await ask(node, 'GET', `${path}?key=${encodeBytes(Buffer.alloc(65_537, 0xfe))}`);
      expect([answer.status, answer.json().code]).to.deep.equal([400, 'key_too_long']);
    }
    for (const method of ['PUT', 'DELETE']) {
      const before = node.log.appends;
      const body = method === 'PUT' ? { body: 'v' } : {};
      const answer = await ask(node, method, `/rpc?key=${'k'.repeat(65_537)}`, body);
      expect([answer.status, answer.json().code]).to.deep.equal([400, 'key_too_long']);
      expect(node.log.appends).to.equal(before);
    }
  });
});

describe('percentDecode', () => {
  it('is the inverse of percent-encoding, whichever bytes are encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.infiniteStream(fc.boolean()), (bytes, choices) => {
        const encoded = [...bytes].map((byte) => {
          const mustBe = byte === 0x25 || byte === 0x2b;
          const upper = choices.next().value;
          const digits = upper ? hex(byte).toUpperCase() : hex(byte);
          return mustBe || choices.next().value ? `%${digits}` : String.fromCharCode(byte);
        });
        expect(percentDecode(encoded.join(''), 'key')).to.deep.equal(Buffer.from(bytes));
      }),
    );
  });

  it('decodes as URLSearchParams encodes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const encoded = new URLSearchParams({ key: text }).toString().slice('key='.length);
        expect(percentDecode(encoded, 'key').toString('utf8')).to.equal(text);
      }),
    );
  });

  it('decodes as encodeURIComponent encodes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(percentDecode(encodeURIComponent(text), 'key').toString('utf8')).to.equal(text);
      }),
    );
  });
});

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
