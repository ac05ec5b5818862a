import { expect } from 'chai';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { Brokers } from '../../../../src/log/wire/brokers.ts';
import { WireClientError } from '../../../../src/log/wire/client-error.ts';
import { kafkaErrors } from '../../../../src/protocol/errors.ts';
import { noUuid } from '../../../../src/protocol/schema.ts';
import { ScriptedBroker } from '../../../support/wire/scripted-broker.ts';

const topicId = 'a52ddd4c-3b1f-4d6f-9d2e-1a2b3c4d5e6f';

async function failureOf(attempt: Promise<unknown>): Promise<WireClientError> {
  try {
    await attempt;
  } catch (error) {
    expect(error).to.be.instanceOf(WireClientError);
    return error as WireClientError;
  }
  throw new Error('it did not fail');
}

describe('the brokers of a cluster', () => {
  let first: ScriptedBroker;
  let second: ScriptedBroker;
  const made: Brokers[] = [];

  beforeEach(async () => {
    [first, second] = [await ScriptedBroker.start(), await ScriptedBroker.start()];
    for (const broker of [first, second]) serveMetadata(broker);
  });

  afterEach(async () => {
    for (const brokers of made.splice(0)) brokers.close();
    await Promise.all([first.stop(), second.stop()]);
  });

  function serveMetadata(broker: ScriptedBroker, topic: { topicId?: string; errorCode?: number } = {}): void {
    broker.on(apis.metadata, () => ({
      clusterId: 'cluster',
      brokers: [
        { nodeId: 1, ...first.address },
        { nodeId: 2, ...second.address },
        { nodeId: 3, host: '', port: 0 },
      ],
      topics: [
        {
          name: 't',
          topicId,
          ...topic,
          partitions: [
            { partitionIndex: 1, leaderId: 2, leaderEpoch: 5 },
            { partitionIndex: 0, leaderId: 1, leaderEpoch: 4 },
            { partitionIndex: 2, leaderId: -1, leaderEpoch: 3, errorCode: 5 },
          ],
        },
      ],
    }));
  }

  function brokersAt(...list: readonly string[]): Brokers {
    const connection = { brokers: list, clientId: 'test', tls: undefined, sasl: undefined };
    const brokers = new Brokers({
      connection,
      clock: systemClock,
      logger: createLogger('silent', { terminal: false }),
    });
    made.push(brokers);
    return brokers;
  }

  it('tell who leads each partition, and are known by their ids from then on', async () => {
    const brokers = brokersAt(first.hostPort);
    expect((await failureOf(brokers.node(2))).kind).to.equal('unreachable');
    expect(await brokers.metadata('t')).to.deep.equal({
      topic: 't',
      errorCode: 0,
      topicId,
      clusterId: 'cluster',
      partitions: [
        { partition: 0, leader: 1, leaderEpoch: 4, errorCode: 0 },
        { partition: 1, leader: 2, leaderEpoch: 5, errorCode: 0 },
        { partition: 2, leader: -1, leaderEpoch: 3, errorCode: 5 },
      ],
    });
    expect((await brokers.node(2)).address).to.deep.equal(second.address);
    expect((await failureOf(brokers.node(3))).message).to.equal('no broker has the id 3');
    expect(first.asked(apis.metadata)).to.have.length(1);
    expect(first.asked(apis.metadata)[0]).to.include({ allowAutoTopicCreation: false });
  });

  it('tell of a topic that is not there, and have no id for one of a broker without topic ids', async () => {
    const { code } = kafkaErrors.UNKNOWN_TOPIC_OR_PARTITION;
    serveMetadata(first, { errorCode: code });
    const brokers = brokersAt(first.hostPort);
    expect(await brokers.metadata('t')).to.deep.include({ errorCode: code, partitions: [] });
    serveMetadata(first, { topicId: noUuid });
    expect((await brokers.metadata('t')).topicId).to.equal(undefined);
    expect(await brokers.metadata('another')).to.deep.include({ errorCode: code, partitions: [] });
  });

  it('are not asked for what would create the topic: by brokers that do not know how to leave it', async () => {
    first.served = first.served.map((each) => ({ ...each, maxVersion: Math.min(each.maxVersion, 3) }));
    expect((await failureOf(brokersAt(first.hostPort).metadata('t'))).kind).to.equal('unsupported');
    expect(first.asked(apis.metadata)).to.have.length(0);
  });

  it('are asked in turn until one answers', async () => {
    const gone = await ScriptedBroker.start();
    const nobody = gone.hostPort;
    await gone.stop();
    const brokers = brokersAt(nobody, first.hostPort);
    expect((await brokers.metadata('t')).errorCode).to.equal(0);
    await first.stop();
    expect((await brokers.metadata('t')).errorCode).to.equal(0);
    expect(second.asked(apis.metadata)).to.have.length(1);
    await second.stop();
    const failure = await failureOf(brokers.metadata('t'));
    expect(failure.kind).to.equal('unreachable');
    for (const broker of [nobody, `${first.address.host}:`]) expect(failure.message).to.include(broker);
    [first, second] = [await ScriptedBroker.start(), await ScriptedBroker.start()];
  });

  it('are asked first, the next time, who answered the last time', async () => {
    const brokers = brokersAt(first.hostPort);
    await brokers.metadata('t');
    first.onBytes = (socket) => socket.destroy();
    first.hangUp();
    for (let times = 0; times < 5; times += 1) await brokers.metadata('t');
    // The connection that was there, and one more try.
    expect(first.connections).to.be.at.most(2);
  });

  it('say that a login is refused rather than that others are away', async () => {
    const gone = await ScriptedBroker.start();
    const nobody = gone.hostPort;
    await gone.stop();
    first.on(apis.saslHandshake, () => ({ errorCode: 0, mechanisms: ['PLAIN'] }));
    first.on(apis.saslAuthenticate, () => ({ errorCode: 58, errorMessage: 'no' }));
    const brokers = new Brokers({
      connection: {
        brokers: [first.hostPort, nobody],
        clientId: 'test',
        tls: undefined,
        sasl: { mechanism: 'plain', username: 'a', password: 'b' },
      },
      clock: systemClock,
      logger: createLogger('silent', { terminal: false }),
    });
    made.push(brokers);
    expect((await failureOf(brokers.metadata('t'))).kind).to.equal('login-refused');
  });

  it('have one connection for each purpose, shared by all, and another once it is lost', async () => {
    const brokers = brokersAt(first.hostPort);
    await brokers.metadata('t');
    const [a, b, other] = await Promise.all([brokers.node(2, 'fetch'), brokers.node(2, 'fetch'), brokers.node(2)]);
    expect(a).to.equal(b);
    expect(a).not.to.equal(other);
    expect(second.connections).to.equal(2);
    a.close();
    const again = await Promise.all([brokers.node(2, 'fetch'), brokers.node(2, 'fetch')]);
    expect(again[0]).to.equal(again[1]);
    expect(again[0]).not.to.equal(a);
    expect(second.connections).to.equal(3);
    expect(await brokers.node(2)).to.equal(other);
  });

  it('are asked once for all who ask at the same time', async () => {
    const brokers = brokersAt(first.hostPort);
    const answers = await Promise.all([brokers.metadata('t'), brokers.metadata('t'), brokers.metadata('t')]);
    expect(answers[0]).to.equal(answers[2]);
    expect(first.asked(apis.metadata)).to.have.length(1);
    await brokers.metadata('t');
    expect(first.asked(apis.metadata)).to.have.length(2);
  });

  it('tell who keeps the offsets of a group, in old versions and new', async () => {
    const brokers = brokersAt(first.hostPort);
    first.on(apis.findCoordinator, ({ version, body }) =>
      version >= 4
        ? { coordinators: [{ key: body.coordinatorKeys[0]!, nodeId: 7, ...second.address, errorMessage: null }] }
        : { nodeId: 8, ...second.address },
    );
    expect(await brokers.coordinator('g')).to.equal(7);
    expect((await brokers.node(7)).address).to.deep.equal(second.address);
    first.served = first.served.map((each) => (each.apiKey === 10 ? { ...each, maxVersion: 3 } : each));
    const old = brokersAt(first.hostPort);
    expect(await old.coordinator('g')).to.equal(8);
    expect(first.asked(apis.findCoordinator).at(-1)).to.include({ key: 'g', keyType: 0 });
  });

  it('say which error there is instead of a coordinator', async () => {
    first.on(apis.findCoordinator, () => ({
      coordinators: [{ key: 'g', nodeId: -1, port: -1, errorCode: kafkaErrors.COORDINATOR_NOT_AVAILABLE.code }],
    }));
    const failure = await failureOf(brokersAt(first.hostPort).coordinator('g'));
    expect(failure.message).to.include('COORDINATOR_NOT_AVAILABLE');
  });

  it('are left for good', async () => {
    const brokers = brokersAt(first.hostPort);
    await brokers.metadata('t');
    first.on(apis.metadata, () => undefined);
    const waiting = failureOf(brokers.metadata('t'));
    await brokers.node(1, 'fetch');
    const opening = failureOf(brokers.node(2, 'fetch'));
    brokers.close();
    expect((await waiting).kind).to.equal('closed');
    expect((await opening).kind).to.equal('closed');
    while (first.open + second.open > 0) await new Promise((resolve) => setImmediate(resolve));
    const before = first.connections + second.connections;
    expect((await failureOf(brokers.metadata('t'))).kind).to.equal('closed');
    expect((await failureOf(brokers.node(1))).kind).to.equal('closed');
    expect(first.connections + second.connections).to.equal(before);
  });
});
