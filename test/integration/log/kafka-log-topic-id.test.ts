import { connect, createServer, type Server } from 'node:net';
import { expect } from 'chai';
import { FrameAssembler, readRequestHeader, writeResponse } from '../../../src/broker/server/frames.ts';
import type { BitacoraError } from '../../../src/kernel/errors.ts';
import { apis } from '../../../src/log/wire/apis.ts';
import { kafkaErrors } from '../../../src/protocol/errors.ts';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { createTopic, freshTopicName } from '../../support/kafka/topics.ts';
import { makeKafkaLog } from '../../support/kafka-log.ts';

/** The first version of Metadata that tells topic ids: kafkajs asks in earlier ones. */
const topicIdVersion = 10;
const { request, response } = apis.metadata;

describe(`the id of a topic: ${kafkaName}`, () => {
  let kafka: Kafka;
  /** How many more questions for it are answered as by a broker that has not heard of the topic yet. */
  let ignorant = 0;
  let proxy: Server;
  let brokerList: string;

  before(async function () {
    kafka = await sharedKafka(this);
    const [host, port] = kafka.brokerList.split(',')[0]!.split(':');
    proxy = createServer((client) => {
      const upstream = connect(Number(port), host);
      for (const [socket, other] of [[client, upstream] as const, [upstream, client] as const]) {
        socket.on('error', () => undefined);
        socket.on('close', () => other.destroy());
      }
      upstream.pipe(client);
      const assembler = new FrameAssembler(() => 1024 * 1024);
      client.on('data', (chunk: Buffer) => {
        for (const frame of assembler.push(chunk)) {
          const { apiKey, version, correlationId } = readRequestHeader(frame, () => request);
          if (apiKey === request.apiKey && version >= topicIdVersion && ignorant > 0) {
            ignorant -= 1;
            const errorCode = kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION.code;
            for (const part of writeResponse(response, { topics: [{ errorCode }] }, { version, correlationId })) {
              client.write(part);
            }
            continue;
          }
          const length = Buffer.alloc(4);
          length.writeInt32BE(frame.length);
          upstream.write(Buffer.concat([length, frame]));
        }
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    brokerList = `127.0.0.1:${(proxy.address() as { port: number }).port}`;
  });

  after(() => proxy?.close());

  it('is asked for again when a broker has not heard of the topic, and is not taken for one that there is not', async () => {
    const topic = freshTopicName('id');
    await createTopic(kafka, topic, { config: { 'cleanup.policy': 'compact' } });
    const log = makeKafkaLog({ brokerList }, topic);
    try {
      ignorant = 1;
      const refused = await log.describe().catch((error: BitacoraError) => error);
      expect(refused).to.include({ code: 'log_unavailable' });
      expect(ignorant).to.equal(0);
      expect((await log.describe())?.topicId).to.match(/^[0-9a-f-]{36}$/);
    } finally {
      await log.stop();
    }
  });
});
