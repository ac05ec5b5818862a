import { expect } from 'chai';
import { type Answer, ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

describe('a request that cannot be served', () => {
  let node: TestNode;
  before(async () => {
    node = await startReadyNode();
  });
  after(() => node.stop());

  /** Every such answer is problem details, says the same in its status line and its body, and wrote nothing. */
  const refused = async (
    method: string,
    path: string,
    status: number,
    code: string,
    body?: string,
  ): Promise<Answer> => {
    const before = node.log.appends;
    const answer = await ask(node, method, path, body === undefined ? {} : { body });
    expect(answer.status, `${method} ${path}`).to.equal(status);
    expect(answer.headers['content-type']).to.equal('application/problem+json');
    expect(answer.headers['content-length']).to.equal(String(answer.body.length));
    expect(answer.json())
      .to.include({ type: 'about:blank', status, code })
      .and.have.keys(['type', 'title', 'status', 'code', 'detail']);
    expect(answer.json().detail).to.be.a('string').and.match(/\.$/);
    expect(node.log.appends).to.equal(before);
    return answer;
  };

  const reads = ['/rpc', '/rpc/cluster'];
  const onKeys: ReadonlyArray<[method: string, path: string, rest: string]> = [
    ...reads.map((path): [string, string, string] => ['GET', path, '']),
    ['PUT', '/rpc', '&value=v'],
    ['POST', '/rpc', '&value=v'],
    ['DELETE', '/rpc', ''],
  ];

  for (const [method, path, rest] of onKeys) {
    describe(`${method} ${path}`, () => {
      it('names a key', async () => {
        for (const query of ['', '?', '?&', '?&&']) {
          await refused(method, `${path}${query}${rest.replace('&', query === '' ? '?' : '&')}`, 400, 'key_missing');
        }
      });

      it('names a key that is not empty', async () => {
        for (const query of ['?key=', '?key']) await refused(method, path + query + rest, 400, 'key_empty');
      });

      for (const bad of [
        '%',
        '%1',
        '%GG',
        '%-1',
        '%0x',
        'a%',
        '%4',
        '%%41',
        '%u0041',
        'a%+b',
        '%4 1'.replace(' ', '+'),
      ]) {
        it(`does not guess at the key ${bad}`, async () => {
          await refused(method, `${path}?key=${bad}${rest}`, 400, 'key_encoding');
          await refused(method, `${path}?${rest.slice(1)}${rest === '' ? '' : '&'}key=${bad}`, 400, 'key_encoding');
        });
      }

      it('names each parameter once', async () => {
        await refused(method, `${path}?key=a&key=a${rest}`, 400, 'parameter_repeated');
        await refused(method, `${path}?key=a&key=b${rest}`, 400, 'parameter_repeated');
        await refused(method, `${path}?key=a&key${rest}`, 400, 'parameter_repeated');
      });

      const misspelt = [
        'consistancy=local',
        'Key=b',
        'key%20=b',
        'k%65y=b',
        '__proto__=1',
        'constructor',
        '=',
        'wait%00',
      ];
      for (const parameter of misspelt) {
        it(`has no parameter that does not exist: ${parameter}`, async () => {
          await refused(method, `${path}?key=a${rest}&${parameter}`, 400, 'parameter_unknown');
        });
      }
    });
  }

  it('has no parameter of another method', async () => {
    await refused('GET', '/rpc?key=a&value=b', 400, 'parameter_unknown');
    await refused('GET', '/rpc?key=a&wait=logged', 400, 'parameter_unknown');
    await refused('PUT', '/rpc?key=a&value=b&consistency=local', 400, 'parameter_unknown');
    await refused('DELETE', '/rpc?key=a&value=b', 400, 'parameter_unknown');
    await refused('DELETE', '/rpc?key=a&ttlMs=1', 400, 'parameter_unknown');
  });

  it('repeats no other parameter either', async () => {
    await refused('GET', '/rpc?key=a&consistency=local&consistency=local', 400, 'parameter_repeated');
    for (const parameter of ['value=v', 'wait=logged', 'ttlMs=1']) {
      await refused('PUT', `/rpc?key=a&value=v&${parameter}&${parameter}`, 400, 'parameter_repeated');
    }
  });

  for (const bad of ['%', '%1', '%GG']) {
    it(`does not guess at the value ${bad}, nor at any other parameter`, async () => {
      await refused('PUT', `/rpc?key=a&value=${bad}`, 400, 'parameter_invalid');
      await refused('PUT', `/rpc?key=a&value=v&wait=${bad}`, 400, 'parameter_invalid');
      await refused('PUT', `/rpc?key=a&value=v&ttlMs=${bad}`, 400, 'parameter_invalid');
      await refused('GET', `/rpc?key=a&consistency=${bad}`, 400, 'parameter_invalid');
    });
  }

  for (const method of ['PUT', 'POST']) {
    it(`${method} carries a value: a request without a body is none`, async () => {
      const before = node.log.appends;
      const socket = await HttpSocket.open(node);
      socket.send(`${method} /rpc?key=a HTTP/1.1\r\nHost: x\r\n\r\n`);
      const { status, body } = await socket.answer();
      expect([status, JSON.parse(body).code]).to.deep.equal([400, 'value_missing']);
      expect(node.log.appends).to.equal(before);
      socket.destroy();
    });

    it(`${method} carries one value`, async () => {
      await refused(method, '/rpc?key=a&value=v', 400, 'value_ambiguous', 'w');
      await refused(method, '/rpc?key=a&value=', 400, 'value_ambiguous', 'w');
    });
  }

  it('takes no parameters on the pages that have none', async () => {
    for (const path of ['/health/live', '/health/ready', '/metrics', '/cluster', '/openapi.json']) {
      await refused('GET', `${path}?verbose=1`, 400, 'parameter_unknown');
    }
  });

  const strangePaths = ['/', '//', '//rpc?key=a', '/rpc/', '/rpc//cluster?key=a', '/RPC?key=a', '/rpc/cluster/?key=a'];
  const moreStrangePaths = [
    '/%72pc?key=a',
    '/rpc%3Fkey=a',
    '/./rpc?key=a',
    '/x/../rpc?key=a',
    '/metrics/',
    '/health',
    '/..',
  ];
  for (const path of [...strangePaths, ...moreStrangePaths, '/rpc;x?key=a', `/${'x'.repeat(5000)}`]) {
    it(`finds nothing at ${path.slice(0, 40)}`, async () => {
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const answer = await refused(method, path, 404, 'path_not_found');
        expect(answer.body.length).to.be.lessThan(1000);
      }
      const head = await ask(node, 'HEAD', path);
      expect([head.status, head.body.length]).to.deep.equal([404, 0]);
    });
  }

  const methods = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'PURGE', 'QUERY'];
  const allowed: Readonly<Record<string, readonly string[]>> = {
    '/rpc': ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'],
    '/rpc/cluster': ['GET', 'HEAD'],
    '/rpc/scan': ['GET', 'HEAD'],
    '/health/live': ['GET', 'HEAD'],
    '/health/ready': ['GET', 'HEAD'],
    '/metrics': ['GET', 'HEAD'],
    '/cluster': ['GET', 'HEAD'],
    '/openapi.json': ['GET', 'HEAD'],
  };
  for (const [path, names] of Object.entries(allowed)) {
    it(`${path} takes ${names.join(', ')} and says so to every other method`, async () => {
      for (const method of methods) {
        if (names.includes(method)) {
          expect((await ask(node, method, `${path}?key=a`)).status, method).not.to.equal(405);
          continue;
        }
        const { headers } = await refused(method, `${path}?key=a`, 405, 'method_not_allowed');
        expect(headers.allow?.split(', ')).to.have.members([...names]);
      }
    });
  }
});
