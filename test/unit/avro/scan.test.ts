import { expect } from 'chai';
import { AvroRig } from '../../support/avro/avro-rig.ts';
import { settled } from '../../support/fake-clock.ts';

interface Page {
  readonly entries: readonly {
    readonly key: Buffer;
    readonly value: Buffer | null;
    readonly partition: number;
    readonly offset: number;
    readonly timestampMs: number;
    readonly expiresAtMs: number | null;
    readonly contentType: string | null;
  }[];
  readonly after: Buffer | null;
  readonly positions: readonly { readonly partition: number; readonly position: number }[];
}

const everything = {
  prefix: Buffer.alloc(0),
  fromKey: null,
  toKey: null,
  after: null,
  limit: 100,
  keysOnly: false,
  consistency: 'LOCAL',
  positions: [],
};

describe('scan on the Avro socket', () => {
  let rig: AvroRig;

  afterEach(() => rig.stop());

  /** A node whose keys are in order. */
  async function start(partitions = 1): Promise<Awaited<ReturnType<AvroRig['client']>>> {
    rig = await AvroRig.start({ ordered: true, partitions });
    const client = await rig.client();
    for (;;) {
      const { error } = await client.call('scan', everything);
      if (error === undefined) return client;
    }
  }

  /** Writes from outside, and lets the node come to them. */
  async function write(...keys: readonly string[]): Promise<void> {
    for (const key of keys) rig.replica.write(key, `of ${key}`);
    await settled();
  }

  const bytes = (text: string | null) => (text === null ? null : Buffer.from(text));
  const texts = (page: unknown) => (page as Page).entries.map(({ key }) => key.toString());

  it('answers keys in byte order with their values and versions, and the positions of all partitions', async () => {
    const client = await start(3);
    await client.value('put', { key: bytes('b'), value: Buffer.of(0xff, 0), ttlMs: 5_000, contentType: 'image/x' });
    await write('a', 'c', 'd', 'ü');
    const page = (await client.value('scan', everything)) as Page;
    expect(texts(page)).to.deep.equal(['a', 'b', 'c', 'd', 'ü']);
    expect(page.after).to.equal(null);
    const nowMs = rig.replica.clock.nowMs();
    const [a, b] = page.entries;
    expect(a!.value!.toString()).to.equal('of a');
    expect(a).to.include({ expiresAtMs: null, contentType: null, timestampMs: nowMs });
    expect([...b!.value!]).to.deep.equal([0xff, 0]);
    expect(b).to.include({ expiresAtMs: nowMs + 5_000, contentType: 'image/x' });
    expect(page.positions.map(({ partition }) => partition)).to.deep.equal([0, 1, 2]);
    for (const { partition, offset } of page.entries) {
      expect(page.positions[partition]!.position).to.be.greaterThan(offset);
    }
  });

  it('keeps within its bounds, and goes on behind the page before', async () => {
    const client = await start();
    await write('a', 'b', 'ba', 'bb', 'c');
    for (const [bounds, expected, after] of [
      [{ prefix: 'b' }, ['b', 'ba', 'bb'], null],
      [{ fromKey: 'ba', toKey: 'c' }, ['ba', 'bb'], null],
      [{ prefix: 'b', limit: 2 }, ['b', 'ba'], 'ba'],
      [{ prefix: 'b', limit: 2, after: 'ba' }, ['bb'], null],
      [{ toKey: '' }, [], null],
    ] as const) {
      const { limit = 100, ...keys }: { limit?: number; [bound: string]: string | number | undefined } = bounds;
      const named = Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, bytes(String(key))]));
      const page = (await client.value('scan', { ...everything, limit, ...named })) as Page;
      expect([texts(page), page.after?.toString() ?? null]).to.deep.equal([expected, after]);
    }
  });

  it('leaves values out when only keys are asked for', async () => {
    const client = await start();
    await client.value('put', { key: bytes('k'), value: bytes('v'), ttlMs: null, contentType: 'text/plain' });
    const { entries } = (await client.value('scan', { ...everything, keysOnly: true })) as Page;
    expect(entries).to.have.length(1);
    expect(entries[0]).to.include({ value: null, offset: 0, contentType: 'text/plain' });
  });

  it('has no long pages, whatever the limit', async () => {
    const client = await start();
    const keys = Array.from({ length: 1_500 }, (_, i) => `key-${String(i).padStart(5, '0')}`);
    await write(...keys);
    await rig.replica.replica.reaches(0, 1_500, 60_000);
    const page = (await client.value('scan', { ...everything, limit: 10_000 })) as Page;
    expect(texts(page)).to.deep.equal(keys.slice(0, 500));
    expect(page.after!.toString()).to.equal(keys[499]);
  });

  it('waits for the positions of a session', async () => {
    const client = await start();
    await write('a');
    await rig.replica.log.holdReader();
    rig.replica.write('b', '1');
    const session = { ...everything, consistency: 'SESSION', positions: [{ partition: 0, position: 2 }] };
    const waiting = client.value('scan', session);
    await settled();
    rig.replica.log.releaseReader();
    expect(texts(await waiting)).to.deep.equal(['a', 'b']);
  });

  it('fails with the typed error, and the connection goes on', async () => {
    const client = await start();
    for (const limit of [0, -1, 10_001]) {
      const failure = await client.failure('scan', { ...everything, limit });
      expect(failure).to.include({ code: 'parameter_invalid', status: 400 });
    }
    const stale = { ...everything, consistency: 'SESSION', positions: [{ partition: -1, position: 2 }] };
    expect(await client.failure('scan', stale)).to.include({ code: 'parameter_invalid' });
    expect(texts(await client.value('scan', everything))).to.deep.equal([]);
    expect(await rig.calls('scan', 'ok')).to.equal(2);
    expect(await rig.calls('scan', 'parameter_invalid')).to.equal(4);
  });

  it('fails when everything is read anew between the call and its answer', async () => {
    const client = await start();
    await write('a');
    const scan = rig.database.scan.bind(rig.database);
    rig.database.scan = async (consistency) => {
      const begun = await scan(consistency);
      await rig.replica.log.holdReader();
      rig.replica.log.loseLineage('the topic is another one');
      await settled();
      return begun;
    };
    rig.replica.write('b', '1');
    expect(await client.failure('scan', everything)).to.include({ code: 'not_caught_up', status: 503 });
  });

  it('fails where the node keeps no order of its keys', async () => {
    rig = await AvroRig.start();
    const client = await rig.client();
    expect(await client.failure('scan', everything)).to.include({ code: 'scan_disabled', status: 501 });
  });
});
