import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { BrokerServer } from '../../../../src/broker/server/broker-server.ts';
import { Faults } from '../../../../src/broker/server/faults.ts';
import { handler } from '../../../../src/broker/server/handler.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { listGroupsRequest, listGroupsResponse } from '../../../../src/protocol/messages/list-groups.ts';
import { requestFrame, withLength } from '../../../support/broker/wire-client.ts';
import { FakeClock, settled } from '../../../support/fake-clock.ts';

describe('a client that goes while its first request is carried out', () => {
  const logger = createLogger('silent', { terminal: false });
  let server: BrokerServer;
  let port: number;
  let handled: number;
  let goOn: () => void;

  beforeEach(async () => {
    handled = 0;
    const isOver = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const listGroups = handler({
      request: listGroupsRequest,
      response: listGroupsResponse,
      async handle() {
        await isOver;
        handled += 1;
        // As with acks=0: nobody is to be told.
        return undefined;
      },
    });
    server = new BrokerServer({
      ...{ handlers: new Map([[listGroupsRequest.apiKey, listGroups]]), connectionsMax: 2, requestBytesMax: 1_000 },
      ...{ faults: new Faults(logger), clock: new FakeClock(), logger },
    });
    const address = { hosts: ['127.0.0.1'], port: 0, advertisedHost: 'localhost' };
    port = (await server.listen({ ...address, requiresLogin: false })).advertisedPort;
  });

  afterEach(() => server.close());

  async function sendAndLeave(leave: 'in order' | 'with a reset'): Promise<void> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const frame = withLength(requestFrame(listGroupsRequest, {}, { version: 1 }));
    socket.write(Buffer.concat(Array.from({ length: 31 }, () => frame)));
    while (server.stats.requests === 0) await settled();
    if (leave === 'in order') socket.end();
    else socket.resetAndDestroy();
    while (server.connections > 0) await settled();
    goOn();
    await settled();
  }

  it('has the others carried out too when it ended the connection in order', async () => {
    await sendAndLeave('in order');
    expect(handled).to.equal(31);
  });

  it('has no others carried out when the connection broke', async () => {
    await sendAndLeave('with a reset');
    expect(handled).to.equal(1);
  });
});
