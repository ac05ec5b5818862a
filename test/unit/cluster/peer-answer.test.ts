import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Expected,
  type PeerAnswer,
  parseAnswer,
  type RawAnswer,
  topicName,
} from '../../../src/cluster/peer-answer.ts';

type Headers = Record<string, string | string[] | undefined>;

const expected: Expected = { partition: 3, topic: 'cluster/topic' };
const body = Buffer.from([0, 0x61, 0xff]);

const hitHeaders: Headers = {
  'bitacora-partition': '3',
  'bitacora-position': '3:8',
  'bitacora-caught-up': 'true',
  'bitacora-topic': 'cluster/topic',
  'bitacora-offset': '7',
  'bitacora-timestamp': '1700000000000',
  'bitacora-expires-at': '1800000000000',
  'bitacora-content-type': 'text/x',
  'content-type': 'application/octet-stream',
};
const missHeaders: Headers = {
  'bitacora-position': '3:8',
  'bitacora-caught-up': 'false',
  'bitacora-topic': 'cluster/topic',
  'content-type': 'application/problem+json',
};

const hit = (changed: Headers = {}): RawAnswer => ({ status: 200, headers: { ...hitHeaders, ...changed }, body });
const miss = (changed: Headers = {}): RawAnswer => ({ status: 404, headers: { ...missHeaders, ...changed }, body });
const parse = (raw: RawAnswer) => parseAnswer(raw, expected);

/** An answer as plain data; a refusal as it is. */
function plain(answer: PeerAnswer | string): unknown {
  if (typeof answer === 'string' || answer.value === undefined) return answer;
  const { partition, offset, timestampMs, expiresAtMs, contentType, latin1 } = answer.value;
  return { ...answer, value: { partition, offset, timestampMs, expiresAtMs, contentType, latin1 } };
}

const goodHit = {
  position: 8,
  caughtUp: true,
  value: {
    partition: 3,
    offset: 7,
    timestampMs: 1_700_000_000_000,
    expiresAtMs: 1_800_000_000_000,
    contentType: 'text/x',
    latin1: '\x00a\xff',
  },
};
const goodMiss = { position: 8, caughtUp: false, value: undefined };

describe('a peer’s answer', () => {
  it('is a value with its version, expiry and content type', () => {
    expect(plain(parse(hit()))).to.deep.equal(goodHit);
  });

  it('is "not found" with a position', () => {
    expect(parse(miss())).to.deep.equal(goodMiss);
  });

  it('may have a value without expiry and content type, or of no bytes', () => {
    const answer = parse({
      ...hit({ 'bitacora-expires-at': undefined, 'bitacora-content-type': undefined }),
      body: Buffer.alloc(0),
    });
    const value = { ...goodHit.value, expiresAtMs: undefined, contentType: undefined, latin1: '' };
    expect(plain(answer)).to.deep.equal({ ...goodHit, value });
  });

  it('gives each caller bytes of its own', () => {
    const { value } = parse(hit()) as PeerAnswer;
    value!.value.fill(0x78);
    expect(value!.value).to.deep.equal(body);
    expect(value!.latin1).to.equal('\x00a\xff');
  });

  it('may be at any position and offset up to 2^53 - 1, and of a time before 1970', () => {
    const headers = {
      'bitacora-position': '3:9007199254740991',
      'bitacora-offset': '9007199254740990',
      'bitacora-timestamp': '-1',
    };
    const { position, value } = parse(hit(headers)) as PeerAnswer;
    expect([position, value?.offset, value?.timestampMs]).to.deep.equal([2 ** 53 - 1, 2 ** 53 - 2, -1]);
  });

  it('may name its media type in capitals and with parameters', () => {
    expect(plain(parse(hit({ 'content-type': 'Application/Octet-Stream; x=y' })))).to.deep.equal(goodHit);
    expect(parse(miss({ 'content-type': 'application/problem+json;charset=utf-8' }))).to.deep.equal(goodMiss);
  });

  describe('cannot be used', () => {
    for (const status of [500, 502, 503, 504, 999]) {
      it(`with the status ${status}: the peer cannot tell`, () => {
        expect(parse({ ...hit(), status })).to.equal('unavailable');
        expect(parse({ status, headers: {}, body: Buffer.alloc(0) })).to.equal('unavailable');
      });
    }

    for (const status of [0, 100, 101, 103, 201, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 410, 429]) {
      it(`with the status ${status}`, () => {
        expect(parse({ ...hit(), status })).to.equal('malformed');
        expect(parse({ ...miss(), status })).to.equal('malformed');
      });
    }

    for (const name of ['bitacora-position', 'bitacora-caught-up', 'content-type']) {
      it(`without ${name}, or with two of them`, () => {
        for (const raw of [hit, miss]) {
          const value = String(raw().headers[name]);
          expect(parse(raw({ [name]: undefined }))).to.equal('malformed');
          expect(parse(raw({ [name]: [value, value] }))).to.equal('malformed');
          expect(parse(raw({ [name]: '' }))).to.equal('malformed');
        }
      });
    }

    it('without the topic, or with two of them', () => {
      const topic = expected.topic;
      for (const raw of [hit, miss]) {
        for (const value of [undefined, '', [topic, topic], `${topic}, ${topic}`]) {
          expect(parse(raw({ 'bitacora-topic': value }))).to.equal('foreign');
        }
      }
    });

    for (const name of ['bitacora-offset', 'bitacora-timestamp']) {
      it(`with a value and no ${name}, or two of them`, () => {
        const value = String(hitHeaders[name]);
        for (const changed of [undefined, '', [value, value]])
          expect(parse(hit({ [name]: changed }))).to.equal('malformed');
      });
    }

    for (const name of ['bitacora-expires-at', 'bitacora-content-type']) {
      it(`with two of ${name}`, () => {
        const value = String(hitHeaders[name]);
        expect(parse(hit({ [name]: [value, value] }))).to.equal('malformed');
      });
    }

    const noCounts = [
      ' 7',
      '7 ',
      '-7',
      '+7',
      '7.0',
      '1e3',
      '0x7',
      '',
      'NaN',
      'Infinity',
      '7\n',
      '٧',
      '9007199254740992',
      '1'.repeat(10_000),
    ];
    for (const name of ['bitacora-offset', 'bitacora-expires-at']) {
      it(`with a ${name} that is no count`, () => {
        for (const text of noCounts) expect(parse(hit({ [name]: text })), JSON.stringify(text)).to.equal('malformed');
      });
    }

    it('with a timestamp that is no integer', () => {
      const unsafe = ['9007199254740992', '-9007199254740992', '9999999999999999'];
      for (const text of [' 7', '+7', '7.0', '1e3', '', '--1', '-', '1'.repeat(17), ...unsafe]) {
        expect(parse(hit({ 'bitacora-timestamp': text })), JSON.stringify(text)).to.equal('malformed');
      }
    });

    it('with a position that is none', () => {
      const positions = noCounts.flatMap((text) => [`3:${text}`, `${text.replace('7', '3')}:8`]);
      for (const text of [...positions, '8', '3:8:9', '3:8,4:9', '3:8, 3:8', ':8', '3:', ':', '3;8']) {
        for (const raw of [hit, miss]) {
          expect(parse(raw({ 'bitacora-position': text })), JSON.stringify(text)).to.equal('malformed');
        }
      }
    });

    it('of another partition than the key’s', () => {
      for (const partition of [0, 4, 33, 999_999]) {
        for (const raw of [hit, miss])
          expect(parse(raw({ 'bitacora-position': `${partition}:8` }))).to.equal('foreign');
      }
    });

    it('of another topic, or a topic of the same name in another cluster', () => {
      for (const topic of ['cluster/other', 'other/topic', '-/topic', 'cluster/topic2', 'CLUSTER/topic', 'topic']) {
        for (const raw of [hit, miss]) expect(parse(raw({ 'bitacora-topic': topic }))).to.equal('foreign');
      }
    });

    it('with anything but true or false for caught up', () => {
      for (const text of ['True', 'TRUE', '1', 'yes', 'truefalse', 'true ', 'false,true']) {
        for (const raw of [hit, miss]) expect(parse(raw({ 'bitacora-caught-up': text })), text).to.equal('malformed');
      }
    });

    it('with a value from at or past the position of whoever has it', () => {
      for (const offset of ['8', '9', '9007199254740991']) {
        expect(parse(hit({ 'bitacora-offset': offset }))).to.equal('malformed');
      }
      expect(parse(hit({ 'bitacora-position': '3:0', 'bitacora-offset': '0' }))).to.equal('malformed');
    });

    it('with another media type: a page of a proxy, say', () => {
      for (const type of [
        'text/html',
        'application/json',
        'text/plain',
        'application/problem+json',
        'application/octet-stream2',
      ]) {
        expect(parse(hit({ 'content-type': type })), type).to.equal('malformed');
      }
      for (const type of ['text/html', 'application/json', 'application/octet-stream']) {
        expect(parse(miss({ 'content-type': type })), type).to.equal('malformed');
      }
    });

    for (const coding of ['gzip', 'br', 'identity', 'GZIP']) {
      it(`with a value that went through something that encoded it (${coding})`, () => {
        expect(parse(hit({ 'content-encoding': coding }))).to.equal('malformed');
      });
    }

    it('with a value that was encoded twice', () => {
      expect(parse(hit({ 'content-encoding': ['gzip', 'br'] }))).to.equal('malformed');
    });
  });

  it('is the good answer or a refusal, and never an exception, whatever is done to it', () => {
    const names = [...Object.keys(hitHeaders), 'content-encoding', '__proto__', 'constructor', 'x'];
    const text = fc.oneof(
      fc.string({ unit: 'binary-ascii' }),
      fc.integer().map(String),
      fc.constantFrom(...Object.values(hitHeaders).map(String), '3:9', '1e3', '9007199254740993', 'gzip'),
    );
    const change = fc.tuple(
      fc.constantFrom(...names),
      fc.oneof(fc.constant(undefined), text, fc.array(text, { minLength: 2, maxLength: 3 })),
    );
    const status = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(200, 404) }, fc.integer({ min: 0, max: 999 }));
    const good: unknown[] = [];
    fc.assert(
      fc.property(fc.boolean(), status, fc.array(change, { maxLength: 3 }), (isHit, code, changes) => {
        const headers: Headers = { ...(isHit ? hitHeaders : missHeaders) };
        for (const [name, value] of changes) {
          Object.defineProperty(headers, name, { value, enumerable: true, configurable: true, writable: true });
        }
        const answer = parse({ status: code, headers, body });
        if (typeof answer === 'string') {
          expect(answer).to.be.oneOf(['unavailable', 'foreign', 'malformed']);
          return;
        }
        good.push(answer);
        // Whatever was taken says exactly what the headers say.
        const [partition, position] = String(headers['bitacora-position']).split(':');
        expect([Number(partition), String(answer.position)]).to.deep.equal([3, String(Number(position))]);
        expect(Number.isSafeInteger(answer.position)).to.equal(true);
        expect(headers['bitacora-topic']).to.equal(expected.topic);
        expect(headers['bitacora-caught-up']).to.equal(String(answer.caughtUp));
        expect(code).to.equal(answer.value === undefined ? 404 : 200);
        if (answer.value === undefined) return;
        expect(answer.value.offset).to.be.within(0, answer.position - 1);
        expect(headers['bitacora-offset']).to.satisfy((offset: string) => Number(offset) === answer.value?.offset);
        expect(answer.value.contentType).to.equal(headers['bitacora-content-type']);
        expect(headers['content-encoding'] ?? '').to.equal('');
        expect(answer.value.value).to.deep.equal(body);
      }),
      { numRuns: 5_000 },
    );
    expect(good.length).to.be.greaterThan(100);
  });
});

describe('the name of a topic', () => {
  it('differs between clusters and between topics, whatever the names', () => {
    const ids = [undefined, '', 'a', 'a/b', 'a%2Fb', 'é'];
    const names = ids.flatMap((id) => ['b', 'b.c', 'topic'].map((topic) => topicName(id, topic)));
    expect(new Set(names).size).to.equal(names.length);
    for (const name of names) expect(name).to.match(/^[!-~]+$/);
  });
});
