import { expect } from 'chai';
import { callNamed, framed, handshake, int32, lengthPrefixed, long } from '../../support/avro/avro-bytes.ts';
import { AvroRig, databaseProtocol, originalProtocol } from '../../support/avro/avro-rig.ts';
import { until } from '../../support/http-node.ts';

const bytes = (text: string) => Buffer.from(text);
const ping = Buffer.from([0, 0]);
const hash = databaseProtocol.hash;
const messageBytesMax = 16 * 1024 * 1024;

describe('what no client should send to the Avro socket', () => {
  let rig: AvroRig;
  beforeEach(async () => {
    rig = await AvroRig.start();
  });
  afterEach(async () => {
    // Whatever came: others are served, and nothing of it is the node's fault.
    const client = await rig.client();
    expect(await client.value('get', { key: bytes('beside') })).to.have.property('found', null);
    expect(rig.complaints).to.deep.equal([]);
    await rig.stop();
  });

  describe('in place of a handshake', () => {
    const closesAtOnce = (what: string, ...sent: Uint8Array[]): void => {
      it(`closes the connection without a word: ${what}`, async () => {
        const socket = await rig.open();
        socket.send(...sent);
        await socket.closed();
        expect(socket.rest.toString('hex')).to.equal('');
        await until(async () => (await rig.closings('malformed')) === 1);
        await until(async () => (await rig.metric('bitacora_avro_connections')) === 0);
      });
    };

    closesAtOnce('four bytes that once held a process for ever', Buffer.from('fffffffc', 'hex'));
    closesAtOnce('a huge number of buffers', int32(1), int32(0x7fff_ffff), Buffer.from('fffffffc', 'hex'));
    closesAtOnce('no buffers', int32(1), int32(0));
    closesAtOnce('a length below zero', int32(1), int32(1), Buffer.from('fffffffc', 'hex'));
    closesAtOnce('a frame over the limit', int32(1), int32(1), int32(messageBytesMax + 1));
    closesAtOnce('an empty message', framed(1, Buffer.alloc(0)));
    closesAtOnce('a handshake that is cut off', framed(1, databaseProtocol.opening().subarray(0, 20)));
    closesAtOnce('a request of HTTP', bytes('GET /rpc?key=k HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    closesAtOnce('a greeting of TLS', Buffer.from('16030100c8010000c403', 'hex'), Buffer.alloc(200, 3));
    closesAtOnce('Avro’s other magic', bytes('Obj\u0001'), Buffer.alloc(100));
    closesAtOnce('a call without a handshake', framed(0, databaseProtocol.call('get', { key: bytes('k') })));
    closesAtOnce('metadata in a huge number', framed(1, hash, long(0), hash, long(1), long(2n ** 60n)));
    closesAtOnce(
      'a protocol that is none',
      framed(1, handshake({ clientHash: Buffer.alloc(16), clientProtocol: '{"protocol":5}', serverHash: hash }), ping),
    );
    closesAtOnce(
      'a protocol of a length that is not there',
      framed(1, Buffer.alloc(16), long(1), long(2 ** 31), Buffer.alloc(50, 0x20)),
    );
  });

  const opened = async () => {
    const socket = await rig.open();
    socket.ask(0, databaseProtocol.opening(), ping);
    await socket.answer();
    return socket;
  };

  describe('behind a handshake, in a frame that is sound, is answered with an error, and the connection goes on', () => {
    const isAnswered = (what: string, told: { code: string } | RegExp, ...body: Uint8Array[]): void => {
      it(what, async () => {
        const socket = await opened();
        socket.ask(6, ...body);
        const { serial, body: answer } = await socket.answer();
        const { error } = databaseProtocol.answerTo('get', answer);
        expect(serial).to.equal(6);
        if (told instanceof RegExp) expect(error).to.match(told);
        else expect(error).to.include(told);
        socket.ask(7, databaseProtocol.call('get', { key: bytes('k') }));
        expect((await socket.answer()).serial).to.equal(7);
      });
    };
    const malformed = { code: 'request_malformed' };

    isAnswered('no bytes at all', /^request_malformed: /);
    isAnswered('a message that is not known', /^message_unknown: /, callNamed('nothing'));
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'getValue']) {
      isAnswered(`a message named ${name}`, /^message_unknown: /, callNamed(name));
    }
    isAnswered('a name of bytes of any kind', /^message_unknown: /, long(0), lengthPrefixed(Buffer.of(0xff, 0, 0x0a)));
    isAnswered('a name that is longer than the message', /^request_malformed: /, long(0), long(2n ** 40n));
    isAnswered('a name of less than no bytes', /^request_malformed: /, long(0), long(-1));
    isAnswered('metadata in a huge number', /^request_malformed: /, long(2n ** 53n), Buffer.alloc(5));
    isAnswered('metadata that do not end', /^request_malformed: /, Buffer.alloc(500, 0x80));
    isAnswered('a call without its parameters', malformed, callNamed('get'));
    isAnswered('a key that is longer than the message', malformed, callNamed('get', long(2n ** 62n)));
    isAnswered('a key of less than no bytes', malformed, callNamed('get', long(-1)));
    isAnswered(
      'a level that is not there',
      malformed,
      callNamed('get', Buffer.concat([lengthPrefixed('k'), long(3), long(0)])),
    );
    for (const count of [2n ** 31n, 2n ** 53n, 2n ** 62n, -(2n ** 63n)]) {
      isAnswered(
        `an array of ${count} positions`,
        malformed,
        callNamed('get', Buffer.concat([lengthPrefixed('k'), long(1), long(count)])),
      );
    }
    isAnswered(
      'bytes behind the parameters',
      malformed,
      databaseProtocol.call('get', { key: bytes('k') }),
      Buffer.of(0),
    );
    isAnswered(
      'a partition of more than 32 bits',
      malformed,
      callNamed('get', Buffer.concat([lengthPrefixed('k'), long(1), long(1), long(2 ** 31), long(0), long(0)])),
    );
    isAnswered(
      'a number beyond what JavaScript has',
      malformed,
      callNamed('get', Buffer.concat([lengthPrefixed('k'), long(1), long(1), long(0), long(2n ** 60n), long(0)])),
    );
  });

  it('of metadata of any kind in front of a call is passed over', async () => {
    const socket = await opened();
    const entry = (name: string) => Buffer.concat([lengthPrefixed(name), lengthPrefixed(Buffer.of(0xff))]);
    const call = databaseProtocol.call('get', { key: bytes('k') }).subarray(1);
    const metadata = Buffer.concat([long(2), entry('__proto__'), entry('a'), long(-1), long(4), entry('b'), long(0)]);
    socket.ask(1, metadata, call);
    expect(databaseProtocol.answerTo('get', (await socket.answer()).body).value).to.have.property('found', null);
  });

  it('in a text that is not UTF-8 is told to a client of the original protocol', async () => {
    const client = await rig.client(originalProtocol);
    client.socket.ask(1, callNamed('getValue', lengthPrefixed(Buffer.of(0xc3))));
    expect(originalProtocol.answerTo('getValue', (await client.socket.answer()).body).error).to.match(
      /^request_malformed: /,
    );
  });

  describe('behind a valid call: that is answered, and the connection closed', () => {
    const isLast = (what: string, ...garbage: Uint8Array[]): void => {
      it(what, async () => {
        const socket = await opened();
        socket.send(framed(1, databaseProtocol.call('get', { key: bytes('k') })), ...garbage);
        const { serial, body } = await socket.answer();
        expect(serial).to.equal(1);
        expect(databaseProtocol.answerTo('get', body).value).to.have.property('found', null);
        await socket.closed();
        expect(socket.rest.length).to.equal(0);
        expect(await rig.closings('malformed')).to.equal(1);
      });
    };
    isLast('a huge number of buffers', int32(5), int32(0x7fff_ffff), Buffer.from('fffffffc', 'hex'));
    isLast('no buffers', int32(5), int32(0));
    isLast('a length below zero', int32(5), int32(2), int32(-4));
    isLast('text', bytes('GET / HTTP/1.1\r\n\r\n'));
    isLast('the four bytes', Buffer.from('fffffffc', 'hex'), Buffer.from('fffffffc', 'hex'));
  });

  it('behind a call that is still under way: that is answered before the connection is closed', async () => {
    const client = await rig.client();
    await rig.replica.log.holdReader();
    client.send('put', { key: bytes('k'), value: bytes('v') });
    client.socket.send(int32(5), int32(0));
    // What comes then is nobody's call.
    client.send('put', { key: bytes('never'), value: bytes('v') });
    await until(async () => (await rig.logged()) === 1);
    expect(client.socket.hasEnded).to.equal(false);
    rig.replica.log.releaseReader();
    expect((await client.next()).value).to.include({ offset: 0, applied: true });
    await client.socket.closed();
    expect(await rig.logged()).to.equal(1);
  });

  it('in a frame over the limit is told, under its serial, before the connection is closed', async () => {
    const socket = await opened();
    socket.send(int32(9), int32(1), int32(messageBytesMax + 1), Buffer.alloc(100_000));
    const { serial, body } = await socket.answer();
    expect(serial).to.equal(9);
    expect(databaseProtocol.answerTo('get', body).error).to.match(/^value_too_large: /);
    await socket.closed();
    expect(await rig.closings('malformed')).to.equal(1);
  });

  it('in a first call that is malformed is told behind the handshake', async () => {
    const socket = await rig.open();
    socket.ask(4, databaseProtocol.opening(), callNamed('get', long(2n ** 60n)));
    const { serial, body } = await socket.answer();
    const { handshake: shaken, error } = databaseProtocol.answerTo('get', body, { afterHandshake: true });
    expect(serial).to.equal(4);
    expect(shaken).to.have.property('match');
    expect(error).to.include({ code: 'request_malformed' });
  });
});
