import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Broker } from '../../../../src/broker/broker.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { Metrics } from '../../../../src/kernel/metrics.ts';
import { createTopicsRequest, createTopicsResponse } from '../../../../src/protocol/messages/create-topics.ts';
import { fetchRequest, fetchResponse } from '../../../../src/protocol/messages/fetch.ts';
import { produceRequest, produceResponse } from '../../../../src/protocol/messages/produce.ts';
import { readHeader, writeBatch } from '../../../../src/protocol/record-batch.ts';
import { readResponse, requestFrame, WireClient } from '../../../support/broker/wire-client.ts';

const topic = 'large';
/** Each larger than what the system takes for a socket whose other end does not read, when there are some of them. */
const valueBytes = 900_000;
const batches = 24;
const version = 12;
const patienceMs = 20_000;

describe('a reader that is slow', function () {
  this.timeout(60_000);
  let folder: string;
  let broker: Broker;
  let slow: WireClient;
  let quick: WireClient;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-slow-reader-'));
    broker = await Broker.start(
      {
        folder,
        listeners: [{ hosts: ['127.0.0.1'], port: 0, advertisedHost: 'localhost', requiresLogin: false }],
        flush: 'none',
        users: {},
        connectionsMax: 10,
        requestBytesMax: 10_000_000,
        defaultPartitions: 1,
        autoCreateTopics: false,
        groupInitialRebalanceDelayMs: 0,
        compactionIntervalMs: 60_000,
        retentionIntervalMs: 60_000,
        diskUsedPercentMax: undefined,
      },
      {
        clock: systemClock,
        logger: createLogger('silent', { terminal: false }),
        metrics: new Metrics({ process: false }),
      },
    );
    const port = broker.listeners[0]!.advertisedPort;
    slow = await WireClient.dial(port);
    quick = await WireClient.dial(port);
    const topics = [{ name: topic, numPartitions: 1, replicationFactor: 1 }];
    await quick.ask([createTopicsRequest, createTopicsResponse], { topics, timeoutMs: patienceMs }, { version: 5 });
    for (let index = 0; index < batches; index += 1) {
      const value = Buffer.alloc(valueBytes, index + 1);
      const records = writeBatch({ records: [{ key: null, value, timestampMs: 0 }] });
      const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }];
      await quick.ask([produceRequest, produceResponse], { acks: 1, timeoutMs: patienceMs, topicData }, { version: 9 });
    }
  });

  afterEach(async () => {
    slow.end();
    quick.end();
    await broker.stop();
    await rm(folder, { recursive: true });
  });

  const fetchAt = (fetchOffset: number) => ({
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1_000_000,
    topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }] }],
  });

  /** The one batch that there is room for, as it was appended. */
  function expectBatch(records: Buffer | null | undefined, offset: number): void {
    const { baseOffset, bytes } = readHeader(records!);
    expect([baseOffset, bytes]).to.deep.equal([offset, records!.length]);
    const value = records!.subarray(records!.length - valueBytes - 1, -1);
    expect(value.every((byte) => byte === offset + 1)).to.equal(true);
  }

  it('gets what it asked for, whatever others have asked for in the meantime', async () => {
    slow.socket.pause();
    for (let offset = 0; offset < batches; offset += 1) {
      slow.send(requestFrame(fetchRequest, fetchAt(offset), { version, correlationId: offset }));
    }
    for (let round = 0; round < 3; round += 1) {
      for (let offset = batches - 1; offset >= 0; offset -= 1) {
        const { responses } = await quick.ask([fetchRequest, fetchResponse], fetchAt(offset), { version });
        expectBatch(responses[0]!.partitions[0]!.records, offset);
      }
    }
    slow.socket.resume();
    for (let offset = 0; offset < batches; offset += 1) {
      const frame = await slow.next(patienceMs);
      expect(frame!.readInt32BE(0)).to.equal(offset);
      expectBatch(readResponse(fetchResponse, frame!, version).responses[0]!.partitions[0]!.records, offset);
    }
  });
});
