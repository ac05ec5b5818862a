import { expect } from 'chai';
import { BitacoraError } from '../../../src/kernel/errors.ts';
import { type Answer, ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode, until } from '../../support/http-node.ts';
import { HttpSocket } from '../../support/http-socket.ts';

describe('consistency', () => {
  let node: TestNode;
  beforeEach(async () => {
    node = await startReadyNode();
    await ask(node, 'PUT', '/rpc?key=k&value=old');
  });
  afterEach(() => node.stop());

  const read = (level: string, position?: string): Promise<Answer> =>
    ask(node, 'GET', `/rpc?key=k&consistency=${level}`, {
      headers: position === undefined ? {} : { 'Bitacora-Position': position },
    });
  /** Writes what this node does not come to read before it is let. */
  const writeUnseen = async (): Promise<string> => {
    node.log.holdAfter(0);
    const written = await ask(node, 'PUT', '/rpc?key=k&value=new&wait=logged');
    return String(written.headers['bitacora-position']);
  };
  const waitingFor = async (
    level: string,
    position?: string,
  ): Promise<{ pending: Promise<Answer>; done: () => boolean }> => {
    let done = false;
    const pending = read(level, position).finally(() => {
      done = true;
    });
    await ask(node, 'GET', '/health/live');
    await ask(node, 'GET', '/rpc?key=k');
    return { pending, done: () => done };
  };

  it('local answers from memory as it is, and is the default', async () => {
    await writeUnseen();
    for (const path of ['/rpc?key=k', '/rpc?key=k&consistency=local']) {
      expect((await ask(node, 'GET', path)).json().value).to.equal('old');
    }
  });

  it('local passes Bitacora-Position over', async () => {
    expect((await read('local', 'nonsense')).json().value).to.equal('old');
  });

  it('session answers at once where the node has been there', async () => {
    for (const position of ['0:1', '0:0', '0:1, 0:1', ' 0:1 ,0:0', '7:99', '000000:0000000000000001']) {
      expect((await read('session', position)).json().value, position).to.equal('old');
    }
  });

  for (const [name, wrap] of [
    ['alone', (position: string) => position],
    ['among others, the highest of each partition counting', (position: string) => `0:1, 5:99,${position}, 0:0`],
  ] as const) {
    it(`session waits for the position that the client has seen (${name})`, async () => {
      const position = await writeUnseen();
      const { pending, done } = await waitingFor('session', wrap(position));
      expect(done()).to.equal(false);
      node.log.release();
      const answer = await pending;
      expect(answer.json().value).to.equal('new');
      expect(answer.headers['bitacora-position']).to.equal(position);
    });
  }

  it('linearizable waits for everything that was in the log when the request came', async () => {
    await writeUnseen();
    const { pending, done } = await waitingFor('linearizable');
    expect(done()).to.equal(false);
    node.log.release();
    expect((await pending).json().value).to.equal('new');
  });

  it('linearizable sees a delete as well, and answers HEAD', async () => {
    node.log.holdAfter(0);
    await ask(node, 'DELETE', '/rpc?key=k&wait=logged');
    const pending = ask(node, 'HEAD', '/rpc?key=k&consistency=linearizable');
    await ask(node, 'GET', '/health/live');
    node.log.release();
    expect((await pending).status).to.equal(404);
  });

  it('linearizable asks the log once more for all reads that come while a question is under way', async () => {
    const questions: (() => void)[] = [];
    node.log.endsInstead = async () => {
      await new Promise<void>((resolve) => questions.push(resolve));
      return [{ partition: 0, earliest: 0, end: 1 }];
    };
    const socket = await HttpSocket.open(node);
    socket.send('GET /rpc?key=k&consistency=linearizable HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20));
    await until(() => questions.length > 0);
    questions[0]!();
    expect((await socket.answer()).status).to.equal(200);
    await until(() => questions.length > 1);
    for (const answerQuestion of questions) answerQuestion();
    for (let read = 1; read < 20; read += 1) expect((await socket.answer()).status).to.equal(200);
    // One for the first read, one for the 19 others, and one that the replica may have asked meanwhile.
    expect(questions.length).to.be.within(2, 3);
    node.log.endsInstead = undefined;
    for (const answerQuestion of questions) answerQuestion();
    socket.destroy();
  });

  it('answers 503 when the position is not reached in time, and says which', async () => {
    const slow = await startReadyNode({ readTimeoutMs: 20 });
    try {
      slow.log.holdAfter(0);
      await ask(slow, 'PUT', '/rpc?key=k&value=v&wait=logged');
      for (const [level, headers] of [
        ['session', { 'Bitacora-Position': '0:1' }],
        ['linearizable', {}],
      ] as const) {
        const answer = await ask(slow, 'GET', `/rpc?key=k&consistency=${level}`, { headers });
        expect([answer.status, answer.json().code]).to.deep.equal([503, 'position_not_reached']);
        expect(answer.json().detail).to.match(/offset 1 of partition 0/);
        expect(answer.headers['retry-after']).to.equal('1');
      }
    } finally {
      await slow.stop();
    }
  });

  it('answers 503 to linearizable reads when the log cannot be asked, and goes on with local ones', async () => {
    node.log.endsInstead = () => Promise.reject(new BitacoraError('log_unavailable', 'The broker is away.'));
    const answer = await read('linearizable');
    expect(answer.json()).to.include({ status: 503, code: 'log_unavailable', detail: 'The broker is away.' });
    expect(answer.headers['retry-after']).to.equal('1');
    expect((await read('local')).json().value).to.equal('old');
    node.log.endsInstead = undefined;
    expect((await read('linearizable')).json().value).to.equal('old');
  });

  it('answers 503 to linearizable reads when the log says nothing for too long', async () => {
    const slow = await startReadyNode({ readTimeoutMs: 20 });
    try {
      slow.log.endsInstead = () => new Promise(() => {});
      const answer = await ask(slow, 'GET', '/rpc?key=k&consistency=linearizable');
      expect([answer.status, answer.json().code]).to.deep.equal([503, 'log_unavailable']);
    } finally {
      slow.log.endsInstead = undefined;
      await slow.stop();
    }
  });

  for (const level of ['', 'Local', 'strong', 'local%00', 'linearizable+']) {
    it(`is not "${level}"`, async () => {
      const answer = await read(level, '0:0');
      expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_invalid']);
    });
  }

  const tooMany = Array.from({ length: 4097 }, () => '0:0').join(',');
  for (const position of [
    undefined,
    '',
    '0',
    ':1',
    '0:',
    '0:-1',
    'a:1',
    '0:1;1:2',
    '0:1,',
    '0:1.5',
    '0x0:1',
    tooMany,
  ]) {
    it(`session needs positions, not ${String(position).slice(0, 20)}`, async () => {
      const answer = await read('session', position);
      expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_invalid']);
      expect(answer.json().detail).to.include('Bitacora-Position');
    });
  }

  it('session takes no position that no offset can be', async () => {
    const answer = await read('session', '0:9007199254740992');
    expect([answer.status, answer.json().code]).to.deep.equal([400, 'parameter_invalid']);
  });

  it('session takes as many positions as there may be partitions', async () => {
    const most = Array.from({ length: 4096 }, () => '0:0').join(',');
    expect((await read('session', most)).status).to.equal(200);
  });
});
