import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import { kafkajsClient } from '../support/kafka/client.ts';
import { taskOf, tell } from './contender.ts';
import { keyAt } from './keys.ts';

/** A process of its own, because the node's adapter takes kafkajs' compression away: it only reads. */
export interface DataTask {
  readonly brokerList: string;
  readonly topic: string;
  readonly records: number;
  readonly compression: keyof typeof compressions;
}

const compressions = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  lz4: kafkajs.CompressionTypes.LZ4,
};
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async ({ buffer }: { buffer: Buffer }) => lz4.compressFrameSync(buffer),
  decompress: lz4.decompressFrame,
});

const batchRecords = 1_000;
const batchesAtOnce = 4;

/** 15 bytes of key, and 100 of JSON that differs from record to record in about half of its characters. */
function recordAt(index: number) {
  const digits = String(index).padStart(11, '0');
  const word = (salt: number) => (Math.imul(index + salt, 0x9e3779b1) >>> 0).toString(36).padStart(7, '0');
  const value = `{"id":"${digits}","name":"${word(1)}-${word(2)}","price":${index % 997},"tags":["${word(3)}","${word(4)}"],"note":"`;
  return { partition: 0, key: keyAt(index), value: `${value.padEnd(98, word(5))}"}` };
}

const { brokerList, topic, records, compression } = taskOf<DataTask>();
const producer = kafkajsClient({ brokerList }).producer({
  createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  allowAutoTopicCreation: false,
});
await producer.connect();
let next = 0;
async function produce(): Promise<void> {
  while (next < records) {
    const first = next;
    next = Math.min(next + batchRecords, records);
    const messages = Array.from({ length: next - first }, (_, i) => recordAt(first + i));
    await producer.send({ topic, acks: -1, compression: compressions[compression], messages });
  }
}
await Promise.all(Array.from({ length: batchesAtOnce }, produce));
await producer.disconnect();
tell({});
