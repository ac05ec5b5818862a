import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Kafka } from 'kafkajs';
import { apiVersionsRequest, apiVersionsResponse } from '../../../src/protocol/messages/api-versions.ts';
import { fetchRequest } from '../../../src/protocol/messages/fetch.ts';
import { metadataRequest, metadataResponse } from '../../../src/protocol/messages/metadata.ts';
import { produceRequest } from '../../../src/protocol/messages/produce.ts';
import type { Message, MessageInput } from '../../../src/protocol/schema.ts';
import { includesVersion } from '../../../src/protocol/schema.ts';
import { WireWriter } from '../../../src/protocol/wire.ts';
import { kafkajsClient } from '../../support/kafka/client.ts';
import { EmbeddedBroker } from '../../support/kafka/embedded-broker.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';

/** A request with its length before it. */
function frameOf<M extends Message>(message: M, value: MessageInput<M>, version: number, correlationId = 1): Buffer {
  const writer = new WireWriter();
  writer.int32(0);
  writer.int16(message.apiKey);
  writer.int16(version);
  writer.int32(correlationId);
  writer.int16(-1);
  if (includesVersion(message.flexible, version)) writer.uvarint(0);
  if (includesVersion(message.versions, version)) message.encode(writer, value as never, version);
  writer.int32At(0, writer.length - 4);
  return writer.finish();
}

/** Frames that come back on a socket, without their lengths. */
async function* framesOf(socket: Socket): AsyncGenerator<Buffer> {
  let held = Buffer.alloc(0);
  for await (const chunk of socket) {
    held = Buffer.concat([held, chunk as Buffer]);
    while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
      const bytes = held.readInt32BE(0);
      yield held.subarray(4, 4 + bytes);
      held = held.subarray(4 + bytes);
    }
  }
}

describe('the embedded broker', () => {
  const brokers: EmbeddedBroker[] = [];
  const folders: string[] = [];
  const sockets: Socket[] = [];

  async function launch(flags: readonly string[] = []): Promise<EmbeddedBroker> {
    const broker = await EmbeddedBroker.launch({ flags });
    brokers.push(broker);
    return broker;
  }

  async function dial(broker: EmbeddedBroker): Promise<Socket> {
    const socket = connect(broker.port, '127.0.0.1');
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  }

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await Promise.all(brokers.splice(0).map((broker) => broker.stop()));
    await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true })));
  });

  async function withAdmin<T>(client: Kafka, use: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
    const admin = client.admin();
    await admin.connect();
    try {
      return await use(admin);
    } finally {
      await admin.disconnect();
    }
  }

  async function produceTo(client: Kafka, topic: string, values: readonly string[]): Promise<void> {
    const producer = client.producer({ idempotent: true, retry: { retries: 1, initialRetryTime: 10 } });
    await producer.connect();
    try {
      await producer.send({ topic, messages: values.map((value) => ({ key: 'k', value })) });
    } finally {
      await producer.disconnect();
    }
  }

  async function consumeFrom(client: Kafka, topic: string, count: number): Promise<string[]> {
    const consumer = client.consumer({ groupId: freshTopicName('group') });
    await consumer.connect();
    try {
      await consumer.subscribe({ topic, fromBeginning: true });
      const values: string[] = [];
      await new Promise<void>((resolve) => {
        void consumer.run({
          eachMessage: async ({ message }) => {
            values.push(message.value?.toString() ?? 'null');
            if (values.length === count) resolve();
          },
        });
      });
      return values;
    } finally {
      await consumer.disconnect();
    }
  }

  for (const how of ['is stopped', 'is killed'] as const) {
    it(`has topics, records and settings again after it ${how}`, async () => {
      const broker = await launch();
      const client = kafkajsClient(broker);
      await withAdmin(client, (admin) =>
        admin.createTopics({
          topics: [
            { topic: 'kept', numPartitions: 3, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] },
            { topic: 'gone', numPartitions: 1 },
          ],
        }),
      );
      await produceTo(client, 'kept', ['one', 'two', 'three']);
      await withAdmin(client, (admin) => admin.deleteTopics({ topics: ['gone'] }));
      if (how === 'is killed') await broker.kill();
      else await broker.shutDown();
      await broker.start();
      await produceTo(client, 'kept', ['four']);
      expect(await consumeFrom(client, 'kept', 4)).to.deep.equal(['one', 'two', 'three', 'four']);
      const names = await withAdmin(client, (admin) => admin.listTopics());
      expect(names).to.include('kept').and.not.to.include('gone');
      const described = await withAdmin(client, (admin) =>
        admin.describeConfigs({
          includeSynonyms: false,
          resources: [{ type: 2, name: 'kept', configNames: ['cleanup.policy'] }],
        }),
      );
      expect(described.resources[0]?.configEntries[0]?.configValue).to.equal('compact');
    });
  }

  it('refuses a data folder that another broker has, with one line', async () => {
    const broker = await launch();
    const flags = ['--data-dir', broker.dataDir];
    const error = await EmbeddedBroker.launch({ flags }).then(
      (other) => other.stop(),
      (refusal: Error) => refusal,
    );
    expect(error).to.be.instanceOf(Error);
    const lines = String(error)
      .split('\n')
      .filter((line) => line.startsWith('bitacora: '));
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(/log is in use by process \d+: stop it, or give another data folder$/);
  });

  it('does not start on partitions without metadata, nor on metadata it did not write, and leaves both alone', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'bitacora-data-'));
    folders.push(dataDir);
    await mkdir(join(dataDir, 'log', 'precious-0'), { recursive: true });
    const flags = ['--data-dir', dataDir];
    const refusal = () => EmbeddedBroker.launch({ flags }).then(String, String);
    expect(await refusal()).to.match(/bitacora: .*log holds partitions and no metadata\.json: restore it/);
    await writeFile(join(dataDir, 'log', 'metadata.json'), '{"format":1,"topics":[');
    expect(await refusal()).to.match(/bitacora: .*metadata\.json is not what this broker wrote/);
    expect(await readFile(join(dataDir, 'log', 'metadata.json'), 'utf8')).to.equal('{"format":1,"topics":[');
    expect(await readdir(join(dataDir, 'log'))).to.include('precious-0');
  });

  it('answers on IPv4 and IPv6, and advertises 127.0.0.1', async () => {
    const broker = await launch();
    const { brokers: told } = await withAdmin(kafkajsClient(broker), (admin) => admin.describeCluster());
    expect(told).to.deep.equal([{ nodeId: 1, host: '127.0.0.1', port: broker.port }]);
    // kafkajs does not take IPv6 addresses.
    const socket = connect(broker.port, '::1');
    sockets.push(socket);
    socket.write(frameOf(metadataRequest, { topics: [] }, 12));
    const { value: frame } = (await framesOf(socket).next()) as { value: Buffer };
    const { brokers: toldOverIpv6 } = metadataResponse.decode(frame.subarray(5), 12);
    expect(toldOverIpv6).to.deep.equal([{ nodeId: 1, host: '127.0.0.1', port: broker.port, rack: null }]);
  });

  describe('on the wire', () => {
    let broker: EmbeddedBroker;

    beforeEach(async () => {
      broker = await launch();
    });

    it('tells a client of ApiVersions in a version it does not know what there is', async () => {
      const socket = await dial(broker);
      socket.write(frameOf(apiVersionsRequest, {}, 99, 7));
      const { value: frame } = (await framesOf(socket).next()) as { value: Buffer };
      expect(frame.readInt32BE(0)).to.equal(7);
      const { errorCode, apiKeys } = apiVersionsResponse.decode(frame.subarray(4), 0);
      expect(errorCode).to.equal(35);
      expect(apiKeys.find(({ apiKey }) => apiKey === 18)).to.include({ minVersion: 0, maxVersion: 4 });
    });

    it('advertises Produce from version 0 on, and refuses what is below 3', async () => {
      const socket = await dial(broker);
      const frames = framesOf(socket);
      socket.write(frameOf(apiVersionsRequest, {}, 0));
      const { value: frame } = (await frames.next()) as { value: Buffer };
      const { apiKeys } = apiVersionsResponse.decode(frame.subarray(4), 0);
      expect(apiKeys.find(({ apiKey }) => apiKey === 0)).to.include({ minVersion: 0, maxVersion: 11 });
      socket.write(frameOf(produceRequest, { acks: 1, timeoutMs: 1000, topicData: [] }, 2));
      expect((await frames.next()).done).to.equal(true);
    });

    it('answers in the order of the requests, although one of them waits', async () => {
      const { topic, id } = await aTopic();
      const socket = await dial(broker);
      const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
      const wait = { maxWaitMs: 500, minBytes: 1, topics: [{ topicId: id, partitions }] };
      socket.write(
        Buffer.concat([
          frameOf(fetchRequest, wait, 17, 1),
          frameOf(metadataRequest, { topics: [{ name: topic }] }, 12, 2),
          frameOf(fetchRequest, { ...wait, maxWaitMs: 1 }, 17, 3),
          frameOf(metadataRequest, { topics: [] }, 12, 4),
        ]),
      );
      const order: number[] = [];
      for await (const frame of framesOf(socket)) {
        order.push(frame.readInt32BE(0));
        if (order.length === 4) break;
      }
      expect(order).to.deep.equal([1, 2, 3, 4]);
    });

    async function aTopic(): Promise<{ topic: string; id: string }> {
      const topic = freshTopicName('wire');
      await withAdmin(kafkajsClient(broker), (admin) => admin.createTopics({ topics: [{ topic }] }));
      const text = await readFile(join(broker.dataDir, 'log', `${topic}-0`, 'partition.metadata'), 'utf8');
      const hex = Buffer.from(/topic_id: (\S+)/.exec(text)![1]!, 'base64url').toString('hex');
      return { topic, id: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5') };
    }

    for (const [what, bytes] of Object.entries({
      'a length beyond the limit': Buffer.from('7fffffff00120000', 'hex'),
      'a negative length': Buffer.from('ffffffff00120000', 'hex'),
      'an API that does not exist': Buffer.from('0000000a03e700000000000100000000', 'hex'),
      HTTP: Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
      'a TLS hello': Buffer.from('160301020001000001fc0303', 'hex'),
    })) {
      it(`ends a connection that brings ${what}, and goes on`, async () => {
        const socket = await dial(broker);
        socket.write(bytes);
        socket.resume();
        await once(socket, 'close');
        const { clusterId } = await withAdmin(kafkajsClient(broker), (admin) => admin.describeCluster());
        expect(clusterId).to.have.length(22);
      });
    }
  });

  it('turns clients away that are more than it may have', async () => {
    const broker = await launch(['--connections-max', '3']);
    const held = [await dial(broker), await dial(broker), await dial(broker)];
    const fourth = await dial(broker);
    fourth.resume();
    await once(fourth, 'close');
    held[0]!.destroy();
    const { brokers: told } = await withAdmin(kafkajsClient(broker), (admin) => admin.describeCluster());
    expect(told).to.have.length(1);
  });

  it('takes no request that is larger than it was told, and what is smaller', async () => {
    const broker = await launch(['--request-bytes-max', '20000']);
    const client = kafkajsClient(broker, { retry: { retries: 1, initialRetryTime: 10 } });
    await withAdmin(client, (admin) => admin.createTopics({ topics: [{ topic: 'small' }] }));
    await produceTo(client, 'small', ['x'.repeat(10_000)]);
    const refusal = await produceTo(client, 'small', ['x'.repeat(30_000)]).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(refusal).to.be.instanceOf(Error);
    expect((await consumeFrom(client, 'small', 1))[0]).to.have.length(10_000);
  });

  it('serves its metrics where it is told to', async () => {
    const broker = await launch(['--metrics-port', '0', '--log-level', 'info']);
    const port = /metrics at http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(broker.output)?.[1];
    await withAdmin(kafkajsClient(broker), (admin) => admin.createTopics({ topics: [{ topic: 'measured' }] }));
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(text).to.match(/^bitacora_broker_requests_total [1-9]/m);
    expect(text).to.include('bitacora_broker_partition_end_offset{topic="measured",partition="0"} 0');
    expect(text).to.match(/^bitacora_broker_faults_total 0$/m);
  });
});
