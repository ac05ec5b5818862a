import { expect } from 'chai';
import { Sasl } from '../../../../src/broker/security/sasl.ts';
import type { SaslSettings } from '../../../../src/log/kafka-connection.ts';
import { WireClientError } from '../../../../src/log/wire/client-error.ts';
import { authenticate, type SaslSend } from '../../../../src/log/wire/sasl.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';

const alice = { username: 'alice', password: 'open sesame' };
const odd = { username: 'a,b=c', password: 'ünïcode' };
const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

/** Logs in at the embedded broker's own side of the exchange, and answers as whom. */
async function login(settings: SaslSettings, change: (reply: string) => string = (reply) => reply) {
  const sasl = await Sasl.of(new Map([alice, odd].map(({ username, password }) => [username, password])));
  const exchange = sasl.begin(settings.mechanism.toUpperCase())!;
  let user: string | undefined;
  const send: SaslSend = async (message) => {
    const step = exchange.next(message);
    user = step.user;
    return Buffer.from(change(step.reply.toString()));
  };
  await authenticate(settings, send);
  return user;
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  try {
    await attempt;
  } catch (error) {
    return error;
  }
  throw new Error('it logged in');
}

describe('a login at a broker', () => {
  for (const mechanism of mechanisms) {
    it(`is let in by ${mechanism}, whatever characters are in the name and the password`, async () => {
      expect(await login({ mechanism, ...alice })).to.equal('alice');
      expect(await login({ mechanism, ...odd })).to.equal('a,b=c');
    });

    it(`is refused with a wrong password by ${mechanism}`, async () => {
      const failure = await failureOf(login({ mechanism, username: 'alice', password: 'open' }));
      expect(failure).to.be.instanceOf(KafkaError);
    });
  }

  for (const [what, change] of Object.entries<(reply: string) => string>({
    'whose nonce does not go on from the client’s': (reply) => reply.replace(/^r=./, 'r=~'),
    'that adds nothing to the nonce': (reply) => reply.replace(/^r=([^,]{32})[^,]+/, 'r=$1'),
    'that asks for too few iterations': (reply) => reply.replace(/i=\d+/, 'i=4095'),
    'that asks for so many iterations that it would keep the node busy': (reply) => reply.replace(/i=\d+/, 'i=1000001'),
    'that asks for no number of iterations': (reply) => reply.replace(/i=\d+/, 'i=many'),
    'without a salt': (reply) => reply.replace(/s=[^,]+,/, ''),
    'that says nothing in the end': (reply) => (reply.startsWith('v=') ? '' : reply),
    'whose proof is another’s': (reply) => reply.replace(/^v=..../, 'v=AAAA'),
    'that has an error in the place of its proof': (reply) => reply.replace(/^v=.*/, 'e=other-error'),
    'that sends what is no text': (reply) => (reply.startsWith('r=') ? '\uFFFD\0' : reply),
  })) {
    it(`does not trust a server ${what}`, async () => {
      const failure = await failureOf(login({ mechanism: 'scram-sha-256', ...alice }, change));
      expect(failure).to.be.instanceOf(WireClientError).with.property('kind', 'login-refused');
      expect(String(failure)).not.to.include(alice.password);
    });
  }
});
