import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { expect } from 'chai';
import { Sasl } from '../../../../src/broker/security/sasl.ts';
import type { SaslExchange } from '../../../../src/broker/server/handler.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';

const users = new Map([
  ['alice', 'open sesame'],
  ['a,b=c', 'ünïcode'],
]);
let sasl: Sasl;

const say = (exchange: SaslExchange, text: string) => exchange.next(Buffer.from(text));

/** The client's side of SCRAM by RFC 5802, section 3. */
function scramLogin(mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-512', user: string, password: string) {
  const hash = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512';
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
  const exchange = sasl.begin(mechanism)!;
  const clientFirst = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=fyko+d2lbbFgONRv9qkxdawL`;
  const serverFirst = say(exchange, `n,,${clientFirst}`).reply.toString();
  const [, nonce, salt = '', iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? [];
  const length = hash === 'sha256' ? 32 : 64;
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), length, hash);
  const clientKey = hmac(salted, 'Client Key');
  const storedKey = createHash(hash).update(clientKey).digest();
  const withoutProof = `c=biws,r=${nonce}`;
  const auth = `${clientFirst},${serverFirst},${withoutProof}`;
  const signature = hmac(storedKey, auth);
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!)).toString('base64');
  const final = say(exchange, `${withoutProof},p=${proof}`);
  const expected = `v=${hmac(hmac(salted, 'Server Key'), auth).toString('base64')}`;
  return { user: final.user, reply: final.reply.toString(), expected, iterations: Number(iterations) };
}

function expectRefusal(act: () => unknown): void {
  expect(act).to.throw(KafkaError).with.property('error', 'SASL_AUTHENTICATION_FAILED');
}

describe('SASL', () => {
  before(async () => {
    sasl = await Sasl.of(users);
  });

  it('knows no other mechanism', () => {
    expect(sasl.begin('GSSAPI')).to.equal(undefined);
    expect(sasl.begin('plain')).to.equal(undefined);
  });

  describe('PLAIN', () => {
    const login = (message: string) => say(sasl.begin('PLAIN')!, message);

    it('lets in who has the password, as itself', () => {
      expect(login('\0alice\0open sesame').user).to.equal('alice');
      expect(login('alice\0alice\0open sesame').user).to.equal('alice');
    });

    for (const [what, message] of Object.entries({
      'a wrong password': '\0alice\0open',
      'a longer password': '\0alice\0open sesame!',
      'an unknown user': '\0bob\0open sesame',
      'no user': '\0\0open sesame',
      'another identity': 'bob\0alice\0open sesame',
      'too few parts': 'alice\0open sesame',
      'too many parts': '\0alice\0open sesame\0',
      nothing: '',
    })) {
      it(`refuses ${what}`, () => expectRefusal(() => login(message)));
    }
  });

  for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    describe(mechanism, () => {
      it('lets in who has the password, and proves that it knows it too', () => {
        const { user, reply, expected, iterations } = scramLogin(mechanism, 'alice', 'open sesame');
        expect(user).to.equal('alice');
        expect(reply).to.equal(expected);
        expect(iterations).to.be.at.least(4096);
      });

      it('takes a name with a comma, an equals sign, and a password beyond ASCII', () => {
        expect(scramLogin(mechanism, 'a,b=c', 'ünïcode').user).to.equal('a,b=c');
      });

      it('refuses a wrong password', () => expectRefusal(() => scramLogin(mechanism, 'alice', 'open')));

      it('gives an unknown user a salt that stays the same, and refuses it at the end', () => {
        const salts = [1, 2].map(() => {
          const first = say(sasl.begin(mechanism)!, 'n,,n=nobody,r=abc').reply.toString();
          return /s=([^,]+)/.exec(first)?.[1];
        });
        expect(salts[0]).to.equal(salts[1]);
        expectRefusal(() => scramLogin(mechanism, 'nobody', 'open sesame'));
      });

      for (const [what, message] of Object.entries({
        'channel binding': 'p=tls-unique,,n=alice,r=abc',
        'another identity': 'n,a=bob,n=alice,r=abc',
        'an escape that does not exist': 'n,,n=al=41ice,r=abc',
        'no nonce': 'n,,n=alice',
        nothing: '',
      })) {
        it(`refuses ${what}`, () => expectRefusal(() => say(sasl.begin(mechanism)!, message)));
      }

      it('refuses a nonce that is not its own', () => {
        const exchange = sasl.begin(mechanism)!;
        say(exchange, 'n,,n=alice,r=abc');
        expectRefusal(() => say(exchange, 'c=biws,r=abc,p=AAAA'));
      });
    });
  }
});
