import { type ExecFileException, execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  groupRecord,
  type KeyAndValue,
  type LoggedGroup,
  offsetRecord,
  readRecord,
} from '../../../../src/broker/groups/group-records.ts';
import type { CommittedOffset } from '../../../../src/broker/groups/offset-table.ts';
import { WireError } from '../../../../src/protocol/wire.ts';
import { javaKafka } from '../../../support/kafka/java.ts';
import { orSkip } from '../../../support/kafka/kafka.ts';
import { Unavailable } from '../../../support/kafka/unavailable.ts';

const oraclePath = fileURLToPath(new URL('GroupLogOracle.java', import.meta.url));

const anyName = fc.string({ unit: 'grapheme', maxLength: 30 });
const anyBytes = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes));
const anyTimeout = fc.integer({ min: 1, max: 0x7fff_ffff });

const anyOffset: fc.Arbitrary<CommittedOffset> = fc
  .record({
    offset: fc.maxSafeNat(),
    leaderEpoch: fc.integer({ min: -1, max: 0x7fff_ffff }),
    metadata: anyName,
    committedAtMs: fc.maxSafeNat(),
    expiresAtMs: fc.option(fc.maxSafeNat(), { nil: undefined }),
  })
  // The version that has room for one of them has none for the other.
  .map((committed) => (committed.expiresAtMs === undefined ? committed : { ...committed, leaderEpoch: -1 }));

const anyGroup: fc.Arbitrary<LoggedGroup> = fc.record({
  snapshot: fc.record({
    protocolType: fc.constantFrom('consumer', 'connect', undefined),
    generationId: fc.nat(0x7fff_ffff),
    protocolName: fc.option(anyName, { nil: undefined }),
    leaderId: fc.option(anyName, { nil: undefined }),
    members: fc.array(
      fc.record({
        memberId: anyName,
        groupInstanceId: fc.option(anyName, { nil: null }),
        clientId: anyName,
        clientHost: anyName,
        rebalanceTimeoutMs: anyTimeout,
        sessionTimeoutMs: anyTimeout,
        subscription: anyBytes,
        assignment: anyBytes,
      }),
      { maxLength: 4 },
    ),
  }),
  sinceMs: fc.option(fc.maxSafeNat(), { nil: undefined }),
});

const committed: CommittedOffset = {
  offset: 5,
  leaderEpoch: 7,
  metadata: 'm',
  committedAtMs: 9,
  expiresAtMs: undefined,
};

const stable: LoggedGroup = {
  snapshot: {
    protocolType: 'consumer',
    generationId: 3,
    protocolName: 'range',
    leaderId: 'a',
    members: [
      {
        memberId: 'a',
        groupInstanceId: 'one',
        clientId: 'client',
        clientHost: '/127.0.0.1',
        rebalanceTimeoutMs: 60_000,
        sessionTimeoutMs: 10_000,
        subscription: Buffer.from('sub'),
        assignment: Buffer.from('part'),
      },
      {
        memberId: 'b',
        groupInstanceId: null,
        clientId: 'client',
        clientHost: '/127.0.0.1',
        rebalanceTimeoutMs: 60_000,
        sessionTimeoutMs: 10_000,
        subscription: Buffer.from('sub'),
        assignment: Buffer.alloc(0),
      },
    ],
  },
  sinceMs: 1_700_000_000_000,
};

const empty: LoggedGroup = {
  snapshot: { protocolType: 'consumer', generationId: 4, protocolName: undefined, leaderId: undefined, members: [] },
  sinceMs: 1_700_000_000_000,
};

const hexOf = ({ key, value }: KeyAndValue): string =>
  `${key.toString('hex')} ${value === null ? '-' : value.toString('hex')}`;

describe('records of groups', () => {
  it('say what was written', () => {
    fc.assert(
      fc.property(anyName, anyName, fc.nat(9), anyOffset, (groupId, topic, partition, offset) => {
        const { key, value } = offsetRecord(groupId, topic, partition, offset);
        expect(readRecord(key, value)).to.deep.equal({ kind: 'offset', groupId, topic, partition, committed: offset });
      }),
    );
    fc.assert(
      fc.property(anyName, anyGroup, (groupId, state) => {
        const { key, value } = groupRecord(groupId, state);
        expect(readRecord(key, value)).to.deep.equal({ kind: 'group', groupId, state });
      }),
    );
  });

  it('say that something is gone by having no value', () => {
    const offset = offsetRecord('g', 't', 1, undefined);
    expect(offset.value).to.equal(null);
    expect(readRecord(offset.key, null)).to.deep.equal({
      kind: 'offset',
      groupId: 'g',
      topic: 't',
      partition: 1,
      committed: undefined,
    });
    const group = groupRecord('g', undefined);
    expect(group.value).to.equal(null);
    expect(readRecord(group.key, null)).to.deep.equal({ kind: 'group', groupId: 'g', state: undefined });
  });

  it('are of version 3, or of 1 where an offset expires by itself', () => {
    expect(hexOf(offsetRecord('g', 't', 2, committed))).to.equal(
      ['0001', '000167', '000174', '00000002 0003', '0000000000000005', '00000007', '00016d', '0000000000000009'].join(
        '',
      ),
    );
    expect(hexOf(offsetRecord('g', 't', 2, { ...committed, expiresAtMs: 10 }))).to.equal(
      '000100016700017400000002 0001000000000000000500016d0000000000000009000000000000000a',
    );
    expect(groupRecord('g', empty).value!.readInt16BE()).to.equal(3);
  });

  it('are read in versions of former and later Kafkas too', () => {
    const { key } = offsetRecord('g', 't', 2, undefined);
    const read = (hex: string, of = key) => {
      const record = readRecord(of, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
      return record?.kind === 'offset' ? record.committed : record?.state;
    };
    const former = { ...committed, leaderEpoch: -1 };
    expect(read('0000 0000000000000005 00016d 0000000000000009')).to.deep.equal(former);
    expect(read('0001 0000000000000005 00016d 0000000000000009 ffffffffffffffff')).to.deep.equal(former);
    expect(read('0002 0000000000000005 00016d 0000000000000009')).to.deep.equal(former);
    const withTopicId = `01 00 10 ${'ab'.repeat(16)}`;
    expect(read(`0004 0000000000000005 00000007 026d 0000000000000009 ${withTopicId}`)).to.deep.equal(committed);
    const oldKey = Buffer.from(key);
    oldKey.writeInt16BE(0);
    expect(read('0000 0000000000000005 00016d 0000000000000009', oldKey)).to.deep.equal(former);
    // Version 0 of a group has one timeout for both.
    const member = '0001 61 0001 63 0001 68 00002710 00000000 00000000';
    const group = read(`0000 0000 00000001 ffff 0001 61 00000001 ${member}`, groupRecord('g', undefined).key);
    expect(group).to.deep.include({ sinceMs: undefined });
    expect((group as LoggedGroup).snapshot.members[0]).to.include({
      rebalanceTimeoutMs: 10_000,
      sessionTimeoutMs: 10_000,
      groupInstanceId: null,
    });
  });

  it('of other things are none', () => {
    expect(readRecord(Buffer.from('0003000167', 'hex'), Buffer.alloc(3))).to.equal(undefined);
  });

  it('are refused when something is missing, left over or of a version that there is not', () => {
    const whole = [offsetRecord('g', 't', 1, committed), groupRecord('g', stable)];
    for (const { key, value } of whole) {
      for (let length = 0; length < value!.length; length += 1) {
        expect(() => readRecord(key, value!.subarray(0, length)), `${length} bytes`).to.throw(WireError);
      }
      for (let length = 0; length < key.length; length += 1) {
        expect(() => readRecord(key.subarray(0, length), value), `${length} bytes`).to.throw(WireError);
      }
      expect(() => readRecord(key, Buffer.concat([value!, Buffer.alloc(1)]))).to.throw(WireError);
      for (const version of [-1, 5]) {
        const other = Buffer.from(value!);
        other.writeInt16BE(version);
        expect(() => readRecord(key, other)).to.throw(WireError);
      }
    }
  });

  it('are read by Kafka’s own tools, and written by Kafka in the same bytes', async function () {
    this.timeout(300_000);
    const records = [
      offsetRecord('g', 'päckchen', 2, committed),
      offsetRecord('g', 't', 2, { ...committed, leaderEpoch: -1, expiresAtMs: 10 }),
      offsetRecord('', 't', 0, undefined),
      groupRecord('g', stable),
      groupRecord('g', empty),
      groupRecord('g', undefined),
    ];
    const { shown, written } = await orSkip(this, askKafka(records.map(hexOf)));
    expect(written).to.deep.equal(records.map(hexOf));
    expect(shown[0]).to.deep.equal({
      key: { type: 1, data: { group: 'g', topic: 'päckchen', partition: 2 } },
      value: { version: 3, data: { offset: 5, leaderEpoch: 7, metadata: 'm', commitTimestamp: 9 } },
    });
    expect(shown[1].value).to.deep.equal({
      version: 1,
      data: { offset: 5, metadata: 'm', commitTimestamp: 9, expireTimestamp: 10 },
    });
    expect(shown[2].value).to.equal(null);
    expect(shown[3].value.data).to.deep.include({
      protocolType: 'consumer',
      generation: 3,
      protocol: 'range',
      leader: 'a',
      currentStateTimestamp: 1_700_000_000_000,
    });
    expect(shown[3].value.data.members[0]).to.deep.equal({
      memberId: 'a',
      groupInstanceId: 'one',
      clientId: 'client',
      clientHost: '/127.0.0.1',
      rebalanceTimeout: 60_000,
      sessionTimeout: 10_000,
      subscription: Buffer.from('sub').toString('base64'),
      assignment: Buffer.from('part').toString('base64'),
    });
    expect(shown[4].value.data).to.deep.include({ generation: 4, protocol: null, leader: null, members: [] });
    expect(shown[5]).to.deep.equal({ key: { type: 2, data: { group: 'g' } }, value: null });
  });
});

/** Rejects with `Unavailable` where there is no Java that runs a source file, or no way to get Kafka's jars. */
async function askKafka(lines: readonly string[]) {
  const { java, classPath } = await javaKafka();
  const running = promisify(execFile)(java, ['-XX:+UseSerialGC', '-cp', classPath, oraclePath], { timeout: 120_000 });
  // It may fail before it has read its input; its exit code tells of that.
  running.child.stdin?.on('error', () => undefined).end(lines.map((line) => `${line}\n`).join(''));
  const stdout = await running.then(
    (done) => done.stdout,
    (error: ExecFileException) => {
      // A runtime without a compiler runs classes only.
      if (/jdk\.compiler|Could not find or load main class/.test(error.message)) {
        throw new Unavailable('this Java has no compiler to run a source file with');
      }
      throw error;
    },
  );
  const answers = stdout.trimEnd().split('\n');
  return {
    shown: answers.filter((_, index) => index % 2 === 0).map((line) => JSON.parse(line)),
    written: answers.filter((_, index) => index % 2 === 1),
  };
}
