import kafkajs from 'kafkajs';
import { kafkajsClient } from '../support/kafka/client.ts';
import { byteLoop, httpAnswerEnd } from './byte-loop.ts';
import type { LoadResult } from './closed-loop.ts';
import { taskOf, tell } from './contender.ts';
import { keyAt } from './keys.ts';
import { putLoad, writtenKeys, writtenValue } from './write-load.ts';

/** Who writes, from a process of its own: to a node by HTTP, or to the topic with one kafkajs `send` a write. */
export type WriteLoadTask =
  | { readonly via: 'http'; readonly port: number }
  | { readonly via: 'kafkajs'; readonly brokerList: string; readonly topic: string };

export interface WriteLoadRequest {
  readonly writers: number;
  readonly durationMs: number;
}

type Load = (request: WriteLoadRequest) => Promise<LoadResult>;

function http(port: number): Load {
  const head = 'Host: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n';
  const body = `Content-Length: ${writtenValue.length}\r\n\r\n${writtenValue.toString('latin1')}`;
  const requests = Array.from({ length: writtenKeys }, (_, i) =>
    Buffer.from(`POST /rpc?key=${keyAt(i)} HTTP/1.1\r\n${head}${body}`),
  );
  return ({ writers: connections, durationMs }) => {
    const each = Math.floor(requests.length / connections);
    const requestsOf = (connection: number): Buffer[] => requests.slice(connection * each, (connection + 1) * each);
    const load = { port, connections, inFlight: 1, durationMs, requestsOf };
    return byteLoop({ ...load, staysAwake: false, answerEnd: httpAnswerEnd });
  };
}

/** With the settings of the node's own producer, but for the retries: those are kafkajs' default. */
async function singleSends(brokerList: string, topic: string): Promise<Load> {
  const producer = kafkajsClient({ brokerList }).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  return ({ writers, durationMs }) =>
    putLoad(writers, durationMs, async (key, value) => {
      const messages = [{ partition: 0, key, value, timestamp: String(Date.now()) }];
      await producer.send({ topic, acks: -1, timeout: 10_000, messages });
    });
}

const task = taskOf<WriteLoadTask>();
const load = task.via === 'http' ? http(task.port) : await singleSends(task.brokerList, task.topic);
process.on('message', (request: WriteLoadRequest) => {
  void load(request).then(tell);
});
tell({});
