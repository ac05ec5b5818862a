import { expect } from 'chai';
import fc from 'fast-check';
import { SchemaRefusedError } from '../../../../src/avro/wire/bounds.ts';
import { foreignProtocol, ownProtocol, protocolTextBytesMax } from '../../../../src/avro/wire/protocol.ts';
import { md5, ownJson } from '../../../support/avro/avro-bytes.ts';

const record = (name: string, fields: object[] = []) => ({ type: 'record', name, fields });
const protocol = (parts: object) => JSON.stringify({ protocol: 'P', ...parts });
const taken = (parts: object) => foreignProtocol(protocol(parts));
const refusal = (text: string): string => {
  try {
    foreignProtocol(text);
  } catch (error) {
    if (error instanceof SchemaRefusedError) return error.message;
    throw error;
  }
  throw new Error(`it was taken: ${text.slice(0, 200)}`);
};

describe('a protocol', () => {
  it('of ours has a name, messages, and the MD5 of its text as its hash', () => {
    const original = ownProtocol('rpc.avpr');
    expect(original.name).to.equal('com.grayscaleconsulting.bitacora.rpc.avro.RPCHandlerAvro');
    expect([...original.messages.keys()]).to.deep.equal(['getValue', 'setValue', 'delete']);
    const database = ownProtocol('database.avpr');
    expect(database.name).to.equal('bitacora.rpc.Database');
    expect([...database.messages.keys()]).to.deep.equal(['get', 'put', 'remove', 'multiGet', 'multiPut', 'scan']);
    for (const { text, hash } of [original, database]) expect(hash).to.deep.equal(md5(text));
    expect(JSON.parse(database.text)).to.deep.equal(ownJson('database.avpr'));
  });

  it('of a client is taken as its text, hashed as it came', () => {
    const text = JSON.stringify(ownJson('database.avpr'), null, 3);
    const client = foreignProtocol(text);
    expect(client.name).to.equal('bitacora.rpc.Database');
    expect(client.hash).to.deep.equal(md5(text));
    expect(client.messages.get('get')?.oneWay).to.equal(false);
  });

  describe('is refused', () => {
    it('over a number of bytes', () => {
      const ofBytes = (bytes: number, filling: string) => {
        const around = Buffer.byteLength(protocol({ doc: '' }));
        return protocol({ doc: filling.repeat((bytes - around) / Buffer.byteLength(filling)) });
      };
      expect(Buffer.byteLength(ofBytes(protocolTextBytesMax, 'x'))).to.equal(protocolTextBytesMax);
      foreignProtocol(ofBytes(protocolTextBytesMax, 'x'));
      expect(refusal(ofBytes(protocolTextBytesMax + 1, 'x'))).to.include('bytes');
      expect(refusal(ofBytes(protocolTextBytesMax + 2, 'ñ'))).to.include('bytes');
    });

    it('with more parts than a protocol has use for', () => {
      expect(refusal(protocol({ types: Array.from({ length: 5_000 }, () => 'int') }))).to.include('parts');
    });

    it('with too many named types and messages', () => {
      const types = (count: number) => Array.from({ length: count }, (_, i) => record(`R${i}`));
      const messages = (count: number) =>
        Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, { request: [], response: 'null' }]));
      for (const parts of [{ types: types(100) }, { messages: messages(100) }]) expect(taken(parts).name).to.equal('P');
      expect(refusal(protocol({ types: types(101) }))).to.include('named types');
      expect(refusal(protocol({ messages: messages(101) }))).to.include('named types');
      expect(refusal(protocol({ types: types(50), messages: messages(51) }))).to.include('named types');
    });

    it('with too many named types, in whatever way their kinds are written', () => {
      for (const [kind, parts] of [
        ['record', { fields: [] }],
        ['error', { fields: [] }],
        ['enum', { symbols: ['A'] }],
        ['fixed', { size: 1 }],
      ] as const) {
        for (const type of [kind, [kind], [[kind]]]) {
          const types = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `R${i}`, type, ...parts }));
          expect(taken({ types: types(100) }).name).to.equal('P');
          expect(refusal(protocol({ types: types(101) })), JSON.stringify(type)).to.include('named types');
        }
      }
    });

    it('with names, namespaces or references over a number of characters', () => {
      const message = { request: [], response: 'null' };
      const withName = (name: string): string[] => [
        JSON.stringify({ protocol: name }),
        protocol({ namespace: name }),
        protocol({ types: [record(name)] }),
        protocol({ types: [{ ...record('R'), namespace: name }] }),
        protocol({ types: [record('R', [{ name, type: 'int' }])] }),
        protocol({ types: [{ type: 'enum', name: 'E', symbols: [name] }] }),
        protocol({ types: [record(name), record('R', [{ name: 'f', type: name }])] }),
        protocol({ types: [record(name), { type: 'array', items: name }, ['null', name]] }),
        protocol({ messages: { [name]: message } }),
      ];
      for (const text of withName('a'.repeat(256))) foreignProtocol(text);
      for (const text of withName('a'.repeat(257))) expect(refusal(text), text).to.include('characters');
      // One that would not be found may not be looked for either.
      expect(refusal(protocol({ messages: { m: { ...message, response: 'a.'.repeat(200) } } }))).to.include(
        'characters',
      );
    });

    it('nested too deep, be it ever so deep', () => {
      for (const depth of [40, 20_000]) {
        const text = `{"protocol":"P","types":${'['.repeat(depth)}${']'.repeat(depth)}}`;
        expect(refusal(text)).to.match(/nested|JSON/);
      }
    });

    it('when it is no JSON, or no protocol', () => {
      const none = ['', '{', 'null', '1', '"P"', '[]', '{}', '{"protocol":""}', '{"protocol":5}', '{"protocol":["P"]}'];
      none.push(
        '{"protocol":"P","types":5}',
        '{"protocol":"P","types":[5]}',
        '{"protocol":"P","types":[{"type":"no"}]}',
      );
      none.push('{"protocol":"a b"}', '{"protocol":"P","namespace":7}', '{"protocol":"P","messages":{"m":5}}');
      for (const message of [
        {},
        { request: [] },
        { request: 5, response: 'null' },
        { request: [5], response: 'null' },
      ]) {
        none.push(protocol({ messages: { m: message } }));
      }
      none.push(protocol({ messages: { 'a b': { request: [], response: 'null' } } }));
      none.push(protocol({ messages: { m: { request: [], response: 'int', 'one-way': true } } }));
      for (const text of none) expect(refusal(text)).to.be.a('string');
    });

    const inherited = [
      'constructor',
      'toString',
      '__proto__',
      'hasOwnProperty',
      'valueOf',
      'isPrototypeOf',
      '.constructor',
    ];
    for (const name of inherited) {
      it(`when anything in it is called ${name}, which every object of JavaScript has`, () => {
        const message = { request: [], response: 'null' };
        const texts = [
          `{"protocol":"P","messages":{"${name}":${JSON.stringify(message)}}}`,
          protocol({ types: [record(name)] }),
          protocol({ types: [record('R', [{ name, type: 'int' }])] }),
          protocol({ types: [{ type: 'enum', name: 'E', symbols: ['A', name] }] }),
          protocol({ messages: { m: { ...message, request: [{ name, type: 'int' }] } } }),
          // As a type that is nowhere defined.
          protocol({ types: [record('R', [{ name: 'f', type: name }])] }),
          protocol({ types: [record('R', [{ name: 'f', type: { type: 'array', items: name } }])] }),
          protocol({ types: [record('R', [{ name: 'f', type: ['null', name] }])] }),
          protocol({ types: [record('R', [{ name: 'f', type: { type: name } }])] }),
          protocol({ messages: { m: { ...message, response: name } } }),
          protocol({ messages: { m: { ...message, errors: [name] } } }),
        ];
        for (const text of texts) expect(refusal(text), text).to.be.a('string');
      });
    }
  });

  it('is not read by, so its defaults are not looked at, of which each doubles the work for the one before', () => {
    const types = Array.from({ length: 60 }, (_, i) =>
      record(
        `R${i}`,
        ['a', 'b'].map((name) => ({ name, type: i === 0 ? 'int' : `R${i - 1}`, default: i === 0 ? 0 : {} })),
      ),
    );
    expect(taken({ types }).name).to.equal('P');
    // A message of that name is one.
    const message = { request: [{ name: 'a', type: 'int', default: 'no int' }], response: 'null' };
    expect([...taken({ messages: { default: message } }).messages.keys()]).to.deep.equal(['default']);
  });

  it('may have aliases, documentation and properties of any kind, none of which is looked at', () => {
    const idle = {
      doc: 'x'.repeat(2_000),
      aliases: Array.from({ length: 600 }, () => 'a b'),
      constructor: 'toString',
      'x-comment': { doc: ['valueOf', 'y'.repeat(300)] },
    };
    const types = [
      { ...record('R', [{ name: 'f', type: 'int', order: 'none', ...idle }]), ...idle },
      { type: 'enum', name: 'E', symbols: ['A'], default: 'B', ...idle },
    ];
    const message = { request: [], response: 'R', ...idle };
    const { messages } = taken({ types, messages: { m: message, doc: message, aliases: message }, ...idle });
    expect([...messages.keys()]).to.deep.equal(['m', 'doc', 'aliases']);
    const { responseType } = messages.get('doc')!;
    expect([responseType.doc, responseType.aliases]).to.deep.equal([undefined, []]);
  });

  it('is taken or refused, whatever JSON it is', () => {
    const own = JSON.stringify(ownJson('database.avpr'));
    const words = ['"bytes"', '"null"', '{}', '[]', '-1', '"get"', '"name"', '"Position"', 'null', '"record"', '1e999'];
    const changed = fc
      .array(fc.tuple(fc.nat(), fc.constantFrom(...words)), { minLength: 1, maxLength: 3 })
      .map((changes) => {
        let text = own;
        for (const [place, word] of changes) {
          const tokens = [...text.matchAll(/"[^"]*"/g)];
          const { index, 0: token } = tokens[place % tokens.length]!;
          text = text.slice(0, index) + word + text.slice(index + token.length);
        }
        return text;
      });
    fc.assert(
      fc.property(fc.oneof(changed, fc.json(), fc.string()), (text) => {
        try {
          expect(foreignProtocol(text).hash).to.deep.equal(md5(text));
        } catch (error) {
          if (!(error instanceof SchemaRefusedError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
