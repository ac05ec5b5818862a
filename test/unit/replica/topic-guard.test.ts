import { expect } from 'chai';
import type { TopicDescription } from '../../../src/log/log.ts';
import {
  type FoundTopic,
  inspectTopic,
  type KnownTopic,
  unfit,
  type Verdict,
  warnings,
} from '../../../src/replica/topic-guard.ts';

const good: TopicDescription = {
  topic: 'prices',
  clusterId: 'cluster',
  topicId: 'topic-id',
  partitions: 2,
  cleanupPolicy: 'compact',
  deleteRetentionMs: 86_400_000,
  maxMessageBytes: 1_000_000,
  minInsyncReplicas: 2,
  replicationFactor: 3,
};

describe('topic guard', () => {
  describe('a topic that cannot be a database', () => {
    it('is one that is not compacted, or not only', () => {
      expect(unfit(good)).to.equal(undefined);
      for (const cleanupPolicy of ['delete', 'compact,delete', 'delete,compact', 'unknown', '']) {
        expect(unfit({ ...good, cleanupPolicy }), cleanupPolicy).to.contain(`cleanup.policy=${cleanupPolicy}`);
      }
    });

    it('is told with its name and how to mend it', () => {
      expect(unfit({ ...good, cleanupPolicy: 'delete' })).to.match(/"prices".*kafka-configs\.sh.*--entity-name prices/);
    });
  });

  describe('warnings', () => {
    const cases: ReadonlyArray<[what: string, change: Partial<TopicDescription>, found: readonly RegExp[]]> = [
      ['nothing', {}, []],
      ['two replicas', { replicationFactor: 2 }, [/2 replica/]],
      ['one replica, whatever min.insync.replicas', { replicationFactor: 1, minInsyncReplicas: 1 }, [/1 replica/]],
      ['one in-sync replica', { minInsyncReplicas: 1 }, [/min\.insync\.replicas=1/]],
      ['small batches', { maxMessageBytes: 999_999 }, [/max\.message\.bytes=999999.*1000000/]],
      ['large batches', { maxMessageBytes: 1_000_001 }, []],
      ['short retention', { deleteRetentionMs: 59_999 }, [/delete\.retention\.ms=59999/]],
      ['a minute of retention', { deleteRetentionMs: 60_000 }, []],
      ['two faults', { deleteRetentionMs: 0, minInsyncReplicas: 1 }, [/min\.insync/, /delete\.retention/]],
    ];
    for (const [what, change, expected] of cases) {
      it(`about ${what}`, () => {
        const found = warnings({ ...good, ...change }, { maxMessageBytes: 1_000_000 });
        expect(found).to.have.length(expected.length);
        for (const [i, pattern] of expected.entries()) expect(found[i]).to.match(pattern);
      });
    }
  });

  describe('a topic in memory and the one found', () => {
    const known: KnownTopic = {
      clusterId: 'cluster',
      topicId: 'topic-id',
      partitions: 2,
      positions: [100, 50],
      witnesses: [{ timestampMs: 5_000, offset: 99 }, undefined],
    };
    const bounds = (partition: number, earliest: number, end: number) => ({ partition, earliest, end });
    const found: FoundTopic = {
      description: good,
      ends: [bounds(0, 0, 100), bounds(1, 0, 50)],
      witnessOffsets: [99, undefined],
    };
    const described = (change: Partial<TopicDescription>) => ({ description: { ...good, ...change } });

    const cases: ReadonlyArray<
      [what: string, known: Partial<KnownTopic>, found: Partial<FoundTopic>, kind: Verdict['kind'], reason?: RegExp]
    > = [
      ['the same', {}, {}, 'sound'],
      ['the same, grown', {}, { ends: [bounds(0, 40, 900), bounds(1, 50, 51)] }, 'sound'],
      ['no topic', {}, { description: undefined }, 'refuse', /no longer exists/],
      ['another cluster', {}, described({ clusterId: 'other' }), 'rebuild', /another cluster \(other, not cluster\)/],
      ['another topic', {}, described({ topicId: 'other' }), 'rebuild', /made anew/],
      ['a log that has stopped telling topic ids', {}, described({ topicId: undefined }), 'sound'],
      ['another cluster and policy', {}, described({ clusterId: 'other', cleanupPolicy: 'delete' }), 'rebuild'],
      ['a log without cluster ids', { clusterId: undefined }, described({ clusterId: undefined }), 'sound'],
      ['another policy', {}, described({ cleanupPolicy: 'delete' }), 'refuse', /cleanup\.policy=delete/],
      ['more partitions', {}, described({ partitions: 3 }), 'refuse', /has 3 partitions and had 2/],
      ['fewer partitions', {}, described({ partitions: 1 }), 'rebuild', /has 1 partitions and had 2/],
      [
        'an end below the position',
        {},
        { ends: [bounds(0, 0, 100), bounds(1, 0, 49)] },
        'rebuild',
        /partition 1 ends at offset 49 and was read up to 50/,
      ],
      [
        'a beginning after the position',
        {},
        { ends: [bounds(0, 101, 200), bounds(1, 0, 50)] },
        'rebuild',
        /partition 0 begins at offset 101, after 100/,
      ],
      ['the witness at a lower offset', {}, { witnessOffsets: [98, undefined] }, 'rebuild', /partition 0 .* made anew/],
      ['the witness at a higher offset, by compaction', {}, { witnessOffsets: [120, undefined] }, 'sound'],
      [
        'more partitions, and the witness at a lower offset',
        {},
        { ...described({ partitions: 3 }), witnessOffsets: [0, undefined] },
        'rebuild',
        /made anew/,
      ],
      ['no witness yet', { witnesses: [] }, { witnessOffsets: [] }, 'sound'],
      ['settings that only deserve a warning', {}, described({ replicationFactor: 1 }), 'sound'],
    ];
    for (const [what, knownChange, foundChange, kind, reason] of cases) {
      it(`${what}: ${kind}`, () => {
        const verdict = inspectTopic({ ...known, ...knownChange }, { ...found, ...foundChange });
        expect(verdict.kind).to.equal(kind);
        if (reason !== undefined) expect(verdict.kind === 'sound' ? '' : verdict.reason).to.match(reason);
      });
    }
  });
});
