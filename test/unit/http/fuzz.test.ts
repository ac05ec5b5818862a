import { expect } from 'chai';
import fc from 'fast-check';
import { errorTable } from '../../../src/kernel/errors.ts';
import { ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { HttpSocket, type RawAnswer } from '../../support/http-socket.ts';

const printable = Array.from({ length: 0x5e }, (_, i) => String.fromCharCode(0x21 + i));
const statuses = new Set<number>([200, 304, ...Object.values(errorTable).map(({ status }) => status)]);
statuses.delete(500);

describe('whatever a client sends', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
    await until(() => node.store.isOrdered);
    await ask(node, 'PUT', '/rpc?key=none-guesses-this&value=v');
  });
  after(() => node.stop());

  /** Sends, ends, and reads answers until the server closes; rejects when what comes is not HTTP. */
  const answersTo = async (bytes: string | Uint8Array): Promise<RawAnswer[]> => {
    const socket = await HttpSocket.open(node);
    socket.send(bytes);
    socket.end();
    await socket.closed();
    const answers: RawAnswer[] = [];
    while (socket.rest.length > 0) answers.push(await socket.answer());
    return answers;
  };
  const serves = async (): Promise<void> => {
    expect((await ask(node, 'GET', '/rpc?key=none-guesses-this')).json().value).to.equal('v');
    expect(node.complaints.filter((line) => /request failed|TypeError|RangeError/.test(line))).to.deep.equal([]);
  };

  it('as bytes: the answer is HTTP or a close, and the next request is served', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        for (const { status } of await answersTo(bytes)) expect(status).to.equal(400);
        await serves();
      }),
      { numRuns: 150 },
    );
  });

  it('as bytes after the beginning of a request', async () => {
    const beginnings = [
      'GET ',
      'GET /rpc?key=',
      'GET /rpc?key=k HTTP/1.1\r\n',
      'GET /rpc?key=k HTTP/1.1\r\nHost: x\r\n',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...beginnings),
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        async (beginning, bytes) => {
          const answers = await answersTo(Buffer.concat([Buffer.from(beginning), bytes, Buffer.from('\r\n\r\n')]));
          for (const { status } of answers) expect(statuses).to.include(status);
          await serves();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('as a query: one answer, of the table, and no 5xx', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'key',
        'value',
        'wait',
        'ttlMs',
        'consistency',
        'prefix',
        'after',
        'limit',
        '3',
        'keysOnly',
        '=',
        '&',
        '%',
        '+',
        '%00',
        '%zz',
        'local',
        '?',
      ),
      fc.string({ unit: fc.constantFrom(...printable), maxLength: 8 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'HEAD', 'DELETE'),
        fc.constantFrom('/rpc', '/rpc/cluster', '/rpc/scan', '/metrics', '/health/ready', '/'),
        fc.array(piece, { maxLength: 12 }),
        async (method, path, pieces) => {
          const query = pieces.join('').replaceAll('#', '');
          const { status } = await ask(node, method, `${path}?${query}`);
          expect(status).to.be.lessThan(500);
          expect(statuses).to.include(status);
          await serves();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('as fields: conditions, positions and media types of any form', async () => {
    const text = fc.string({ unit: fc.constantFrom(...printable, ' ', '\t'), maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(text, text, text, text, async (accept, condition, position, type) => {
        const fields = { Accept: accept, 'If-None-Match': condition, 'Bitacora-Position': position };
        for (const query of ['', '&consistency=session']) {
          const { status } = await ask(node, 'GET', `/rpc?key=none-guesses-this${query}`, { headers: fields });
          expect(status).to.be.oneOf(query === '' ? [200, 304] : [200, 304, 400]);
        }
        const headers = { 'Content-Type': type };
        expect((await ask(node, 'PUT', '/rpc?key=typed', { body: 'v', headers })).status).to.equal(200);
        expect((await ask(node, 'GET', '/rpc?key=typed')).json().value).to.equal('v');
        await serves();
      }),
      { numRuns: 100 },
    );
  });
});
