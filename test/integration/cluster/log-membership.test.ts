import { expect } from 'chai';
import { type Kafka, kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName, rawRecords } from '../../support/kafka/topics.ts';
import { makeKafkaLog } from '../../support/kafka-log.ts';
import { logMembershipCluster } from '../../support/log-membership-rig.ts';
import { membershipContract, until } from '../../support/membership-contract.ts';

describe(`log membership on ${kafkaName}`, () => {
  let kafka: Kafka;

  before(async function () {
    kafka = await sharedKafka(this);
    this.timeout(60_000);
  });

  function makeCluster(topic = freshTopicName('members')) {
    let logs = 0;
    return logMembershipCluster(() => makeKafkaLog(kafka, topic, { groupId: `${topic}-${logs++}` }), 5);
  }

  membershipContract('a compacted topic', {
    abilities: { notices: true, refusesSecond: true, forgets: true },
    makeCluster: () => makeCluster(),
  });

  it('leaves heartbeats under the node’s id that any Kafka client can read, and a tombstone at the end', async () => {
    const topic = freshTopicName('members');
    const cluster = await makeCluster(topic);
    const membership = cluster.makeAdapter(() => undefined);
    await membership.join({ id: 'a.test:8082', instance: 'i' });
    await until(async () => (await rawRecords(kafka, topic).catch(() => [])).length >= 2);
    await membership.leave();
    const records = await rawRecords(kafka, topic);
    expect(new Set(records.map(({ key }) => key?.toString()))).to.deep.equal(new Set(['a.test:8082']));
    const values = records.map(({ value }) => value && JSON.parse(value.toString()));
    expect(values[0]).to.deep.equal({ instance: 'i' });
    expect(values[1]).to.deep.equal({ instance: 'i', since: 0 });
    expect(values.at(-1)).to.equal(null);
    await cluster.stop();
  });
});
