import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect } from 'chai';
import { BrokerServer } from '../../../../src/broker/server/broker-server.ts';
import { Faults } from '../../../../src/broker/server/faults.ts';
import { handler } from '../../../../src/broker/server/handler.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { listGroupsRequest, listGroupsResponse } from '../../../../src/protocol/messages/list-groups.ts';
import { WireWriter } from '../../../../src/protocol/wire.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

describe('a connection that is throttled', () => {
  const logger = createLogger('silent', { terminal: false });
  const faults = new Faults(logger);
  let clock: FakeClock;
  let server: BrokerServer;
  let socket: Socket;
  let received: number;
  /** What the handler says of each request, in their order. */
  let throttleTimesMs: number[];

  beforeEach(async () => {
    clock = new FakeClock();
    throttleTimesMs = [];
    received = 0;
    const listGroups = handler({
      request: listGroupsRequest,
      response: listGroupsResponse,
      handle: () => ({ throttleTimeMs: throttleTimesMs.shift() ?? 0 }),
    });
    const handlers = new Map([[listGroupsRequest.apiKey, listGroups]]);
    server = new BrokerServer({ handlers, connectionsMax: 2, requestBytesMax: 1_000, faults, clock, logger });
    const { advertisedPort } = await server.listen({
      hosts: ['127.0.0.1'],
      port: 0,
      advertisedHost: 'localhost',
      requiresLogin: false,
    });
    socket = connect(advertisedPort, '127.0.0.1');
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    await once(socket, 'connect');
  });

  afterEach(async () => {
    socket.destroy();
    await server.close();
  });

  function send(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const writer = new WireWriter();
      writer.int32(10);
      writer.int16(listGroupsRequest.apiKey);
      writer.int16(1);
      writer.int32(index);
      writer.int16(-1);
      socket.write(writer.finish());
    }
  }

  const arrived = async (): Promise<void> => {
    await once(socket, 'data');
  };

  it('is answered at once, and its next request only when the time is over', async () => {
    throttleTimesMs = [1_000, 0, 0];
    send(3);
    await arrived();
    const answerBytes = received;
    await clock.pass(999);
    expect(server.stats.requests).to.equal(1);
    const others = arrived();
    await clock.pass(1);
    await others;
    while (received < 3 * answerBytes) await arrived();
    expect(server.stats.requests).to.equal(3);
  });

  it('ends when its client goes, without waiting for the time, when what came has been carried out', async () => {
    throttleTimesMs = [1_000];
    send(2);
    await arrived();
    expect(clock.pending).to.equal(1);
    socket.destroy();
    while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(clock.pending).to.equal(0);
    expect(server.stats.requests).to.equal(2);
  });
});
