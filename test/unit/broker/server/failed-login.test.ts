import { expect } from 'chai';
import { saslAuthenticate } from '../../../../src/broker/handlers/security/sasl-authenticate.ts';
import { saslHandshake } from '../../../../src/broker/handlers/security/sasl-handshake.ts';
import { Sasl } from '../../../../src/broker/security/sasl.ts';
import { BrokerServer } from '../../../../src/broker/server/broker-server.ts';
import { Faults } from '../../../../src/broker/server/faults.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { kafkaErrors } from '../../../../src/protocol/errors.ts';
import {
  saslAuthenticateRequest,
  saslAuthenticateResponse,
} from '../../../../src/protocol/messages/sasl-authenticate.ts';
import { saslHandshakeRequest, saslHandshakeResponse } from '../../../../src/protocol/messages/sasl-handshake.ts';
import { readResponse, requestFrame, WireClient } from '../../../support/broker/wire-client.ts';
import { FakeClock, settled } from '../../../support/fake-clock.ts';

const patienceMs = 20_000;

describe('a login', () => {
  const logger = createLogger('silent', { terminal: false });
  let clock: FakeClock;
  let server: BrokerServer;
  let client: WireClient;

  beforeEach(async () => {
    clock = new FakeClock();
    const sasl = await Sasl.of(new Map([['alice', 'open sesame']]));
    const handlers = [saslHandshake(sasl), saslAuthenticate].map((each) => [each.request.apiKey, each] as const);
    server = new BrokerServer({
      ...{ handlers: new Map(handlers), connectionsMax: 2, requestBytesMax: 1_000 },
      ...{ faults: new Faults(logger), clock, logger },
    });
    const address = { hosts: ['127.0.0.1'], port: 0, advertisedHost: 'localhost' };
    const { advertisedPort } = await server.listen({ ...address, requiresLogin: true });
    client = await WireClient.dial(advertisedPort);
  });

  afterEach(async () => {
    client.end();
    await server.close();
  });

  const shakeHands = (version: number) =>
    client.ask([saslHandshakeRequest, saslHandshakeResponse], { mechanism: 'PLAIN' }, { version });

  async function untilItIsDelayed(): Promise<void> {
    while (clock.pending === 0) await settled();
  }

  it('with a wrong password is answered late, and costs the connection', async () => {
    await shakeHands(1);
    const guess = { authBytes: Buffer.from('\0alice\0open') };
    client.send(requestFrame(saslAuthenticateRequest, guess, { version: 1 }));
    // The next guess is not heard.
    client.send(requestFrame(saslAuthenticateRequest, guess, { version: 1 }));
    await untilItIsDelayed();
    const answered = client.next(patienceMs);
    const readBefore = client.socket.bytesRead;
    await clock.pass(99);
    expect(client.socket.bytesRead).to.equal(readBefore);
    await clock.pass(1);
    const { errorCode } = readResponse(saslAuthenticateResponse, (await answered)!, 1);
    expect(errorCode).to.equal(kafkaErrors.SASL_AUTHENTICATION_FAILED.code);
    expect(await client.next(patienceMs)).to.equal(undefined);
    expect(client.isClosed).to.equal(true);
    expect(server.stats.requests).to.equal(2);
  });

  it('with a wrong password costs the connection as late where nothing but its end tells of it (handshake version 0)', async () => {
    await shakeHands(0);
    client.send(Buffer.from('\0alice\0open'));
    await untilItIsDelayed();
    await clock.pass(99);
    expect(client.isClosed).to.equal(false);
    await clock.pass(1);
    expect(await client.next(patienceMs)).to.equal(undefined);
    expect(client.isClosed).to.equal(true);
  });

  it('with the right password is answered at once', async () => {
    await shakeHands(1);
    const { errorCode } = await client.ask(
      [saslAuthenticateRequest, saslAuthenticateResponse],
      { authBytes: Buffer.from('\0alice\0open sesame') },
      { version: 1 },
    );
    expect(errorCode).to.equal(0);
    expect(clock.pending).to.equal(0);
  });
});
