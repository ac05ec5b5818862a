import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { fetch } from '../../../../../src/broker/handlers/data/fetch.ts';
import { listOffsets } from '../../../../../src/broker/handlers/data/list-offsets.ts';
import { offsetForLeaderEpoch } from '../../../../../src/broker/handlers/data/offset-for-leader-epoch.ts';
import { Faults } from '../../../../../src/broker/server/faults.ts';
import type { Handler, RequestContext } from '../../../../../src/broker/server/handler.ts';
import { type Topic, Topics } from '../../../../../src/broker/topics/topics.ts';
import { kafkaErrors } from '../../../../../src/protocol/errors.ts';
import { FakeClock, settled } from '../../../../support/fake-clock.ts';
import { batchOf, quiet } from '../../storage/log-rig.ts';

const name = 'orders';

describe('requests about data', () => {
  const clock = new FakeClock();
  const faults = new Faults(quiet);
  let folder: string;
  let topics: Topics;
  let topic: Topic;
  const open = () => Topics.open({ folder, flush: 'none', clock, logger: quiet });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-data-'));
    topics = await open();
    topic = await topics.create({ name, partitions: 2, overrides: { 'segment.bytes': '1000' } });
  });

  afterEach(async () => {
    await topics.close();
    await rm(folder, { recursive: true, force: true });
  });

  function append(partition: number, value = 'value'): void {
    topics
      .log(name, partition)!
      .append(batchOf([value], { timestampMs: 1 }), { leaderEpoch: topics.leaderEpoch, origin: 'client' });
  }

  async function ask(handler: Handler, body: object) {
    const { signal } = new AbortController();
    return (await handler.handle({ version: 12, signal } as RequestContext, body)) as never;
  }

  async function restart(): Promise<void> {
    await topics.close();
    topics = await open();
  }

  interface Fetched {
    readonly responses: readonly {
      readonly partitions: readonly { readonly errorCode: number; readonly records: Buffer }[];
    }[];
  }

  /** Reads from the ends of both partitions. */
  function waitingFetch(): Promise<Fetched> {
    const partitions = topic.logs.map(({ endOffset }, partition) => {
      return {
        partition,
        fetchOffset: endOffset,
        currentLeaderEpoch: -1,
        lastFetchedEpoch: -1,
        partitionMaxBytes: 1e6,
      };
    });
    const limits = { maxWaitMs: 60_000, minBytes: 1, maxBytes: 1e6, isolationLevel: 0, sessionId: 0 };
    return ask(fetch({ topics, clock, faults }), {
      ...limits,
      topics: [{ topic: name, topicId: topic.id, partitions }],
    });
  }

  it('a fetch that waits hears at once that its topic is deleted', async () => {
    const waiting = waitingFetch();
    await settled();
    await topics.remove(topic);
    const { partitions } = (await waiting).responses[0]!;
    const { code } = kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
    expect(partitions.map(({ errorCode }) => errorCode)).to.deep.equal([code, code]);
  });

  it('a fetch that waits gets the first append after old segments were deleted', async () => {
    await topics.configure(name, (overrides) => ({ ...overrides, 'retention.ms': '1000' }));
    for (let index = 0; index < 10; index += 1) append(0, 'x'.repeat(400));
    const waiting = waitingFetch();
    await settled();
    expect((await topics.log(name, 0)!.retain(clock.nowMs())).segments).to.be.above(1);
    append(0);
    const { partitions } = (await waiting).responses[0]!;
    expect(partitions.map(({ records }) => records.length > 0)).to.deep.equal([true, false]);
  });

  it('ListOffsets tells the epoch of the earliest record, and OffsetForLeaderEpoch where each epoch ends', async () => {
    const first = topics.leaderEpoch;
    append(0);
    await restart();
    await restart();
    append(0);
    const last = topics.leaderEpoch;
    const asked = (leaderEpoch: number) => ({ partition: 0, currentLeaderEpoch: -1, leaderEpoch });
    const ends = await ask(offsetForLeaderEpoch({ topics, faults }), {
      topics: [{ topic: name, partitions: [first, first + 1, last].map(asked) }],
    });
    const { partitions } = (ends as { topics: { partitions: { leaderEpoch: number; endOffset: number }[] }[] })
      .topics[0]!;
    expect(partitions.map(({ leaderEpoch, endOffset }) => [leaderEpoch, endOffset])).to.deep.equal([
      [first, 1],
      [first, 1],
      [last, 2],
    ]);
    const places = await ask(listOffsets({ topics, faults }), {
      isolationLevel: 0,
      topics: [
        {
          name,
          partitions: [0, 1].flatMap((partitionIndex) =>
            [-2, -1].map((timestamp) => ({ partitionIndex, currentLeaderEpoch: -1, timestamp })),
          ),
        },
      ],
    });
    const found = (places as { topics: { partitions: { offset: number; leaderEpoch: number }[] }[] }).topics[0]!;
    expect(found.partitions.map(({ offset, leaderEpoch }) => [offset, leaderEpoch])).to.deep.equal([
      [0, first],
      [2, last],
      [0, last],
      [0, last],
    ]);
  });
});
