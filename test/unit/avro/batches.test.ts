import { expect } from 'chai';
import { batchMax } from '../../../src/avro/database-messages.ts';
import { AvroRig } from '../../support/avro/avro-rig.ts';

describe('calls for thousands of keys', () => {
  let rig: AvroRig;

  beforeEach(async () => {
    rig = await AvroRig.start();
  });

  afterEach(() => rig.stop());

  it('begin in their order with the calls around them, though they begin bit by bit', async () => {
    const client = await rig.client();
    const key = Buffer.from('k');
    const write = (value: string) => ({ key, value: Buffer.from(value), ttlMs: null, contentType: null });
    const writes = Array.from({ length: batchMax }, (_, i) => write(`of the batch, ${i}`));
    const serials = [
      client.send('put', { ...write('before') }),
      client.send('multiPut', { writes }),
      client.send('put', { ...write('after') }),
    ];
    const offsets = new Map<number, number | number[]>();
    while (offsets.size < serials.length) {
      const { serial, value } = await client.next();
      offsets.set(
        serial,
        Array.isArray(value) ? value.map((each) => each['bitacora.rpc.Written'].offset) : (value as Written).offset,
      );
    }
    expect(serials.map((serial) => offsets.get(serial))).to.deep.equal([0, writes.map((_, i) => 1 + i), 1 + batchMax]);
  });

  it('let others have their turn', async () => {
    const [busy, other] = [await rig.client(), await rig.client()];
    const keys = Array.from({ length: batchMax }, (_, i) => Buffer.from(`key-${i}`));
    const order: string[] = [];
    const read = busy.value('multiGet', { keys }).then(() => order.push('thousands'));
    const single = other.value('get', { key: keys[0]! }).then(() => order.push('one'));
    await Promise.all([read, single]);
    expect(order).to.deep.equal(['one', 'thousands']);
  });
});

interface Written {
  readonly offset: number;
}
