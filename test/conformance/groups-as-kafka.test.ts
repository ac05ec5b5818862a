import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import type { GroupCoordinator } from '../../src/broker/groups/coordinator.ts';
import { deleteGroups } from '../../src/broker/handlers/groups/delete-groups.ts';
import { describeGroups } from '../../src/broker/handlers/groups/describe-groups.ts';
import { heartbeat } from '../../src/broker/handlers/groups/heartbeat.ts';
import { joinGroup } from '../../src/broker/handlers/groups/join-group.ts';
import { leaveGroup } from '../../src/broker/handlers/groups/leave-group.ts';
import { listGroups } from '../../src/broker/handlers/groups/list-groups.ts';
import { offsetCommit } from '../../src/broker/handlers/groups/offset-commit.ts';
import { offsetDelete } from '../../src/broker/handlers/groups/offset-delete.ts';
import { offsetFetch } from '../../src/broker/handlers/groups/offset-fetch.ts';
import { syncGroup } from '../../src/broker/handlers/groups/sync-group.ts';
import { FrameAssembler } from '../../src/broker/server/frames.ts';
import type { Handler } from '../../src/broker/server/handler.ts';
import { describeGroupsRequest, describeGroupsResponse } from '../../src/protocol/messages/describe-groups.ts';
import { findCoordinatorRequest, findCoordinatorResponse } from '../../src/protocol/messages/find-coordinator.ts';
import { includesVersion, type Message } from '../../src/protocol/schema.ts';
import { WireWriter } from '../../src/protocol/wire.ts';
import { askHandler } from '../support/broker/ask-handler.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { kafkajsClient } from '../support/kafka/client.ts';
import { onKafkaOnly, sharedKafka } from '../support/kafka/kafka.ts';
import { freshTopicName } from '../support/kafka/topics.ts';
import { CoordinatorRig } from '../unit/broker/groups/coordinator-rig.ts';
import {
  type Ask,
  anyConversation,
  type Conversation,
  GroupTalk,
  type Step,
} from '../unit/broker/groups/group-talk.ts';

const frameBytesMax = 100 * 1024 * 1024;
/** For Kafka to say what it has to say: some of it goes through its log first. */
const answerTimeoutMs = 5_000;

const handlers: ReadonlyArray<(groups: GroupCoordinator) => Handler> = [
  joinGroup,
  syncGroup,
  heartbeat,
  leaveGroup,
  offsetCommit,
  offsetFetch,
  describeGroups,
  listGroups,
  deleteGroups,
  offsetDelete,
];

describe('coordinator of groups beside Kafka', () => {
  let brokerList: string;
  let topic: string;

  before(async function () {
    onKafkaOnly(this);
    ({ brokerList } = await sharedKafka(this));
    topic = freshTopicName('groups');
    const admin = kafkajsClient({ brokerList }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
    await admin.disconnect();
  });

  it('answers whatever members do as Kafka does', async function () {
    this.timeout(180_000);
    await fc.assert(
      fc.asyncProperty(anyConversation, (conversation) => compare(conversation)),
      { numRuns: 150 },
    );
  });

  async function compare({ isStatic, steps }: Conversation): Promise<void> {
    const groupId = freshTopicName('group');
    const rig = await CoordinatorRig.started();
    rig.topics.set(topic, 2);
    const lines = await Promise.all(
      GroupTalk.lines.map(async (line) => [line, await KafkaConnection.open(brokerList)] as const),
    );
    const connections = new Map(lines);
    const ours = new GroupTalk({ groupId, topic, isStatic }, (_line, request, _response, version, body) => {
      const make = handlers.find((each) => each(rig.coordinator).request === request)!;
      return askHandler(make(rig.coordinator), version, body);
    });
    const theirs = new GroupTalk({ groupId, topic, isStatic }, (line, request, response, version, body) => {
      return connections.get(line)!.ask(line, request, response, version, body);
    });
    try {
      await untilReady(connections.get('aside')!, groupId);
      for (const step of steps) {
        if (!ours.canTake(step)) continue;
        await take(ours, theirs, step, rig.clock);
        // Whoever waits has been heard of when Kafka shows so: else what comes next over another connection may overtake it.
        if (ours.outstanding > 0) await take(ours, theirs, GroupTalk.lookUp, rig.clock);
      }
    } finally {
      for (const connection of connections.values()) connection.close();
      await rig.coordinator.stop();
    }
  }
});

/** Both take the step, and what they say of it must be the same. */
async function take(ours: GroupTalk, theirs: GroupTalk, step: Step, clock: FakeClock): Promise<void> {
  ours.take(step);
  // What is to happen at once does.
  await clock.pass(0);
  const expected = ours.said();
  const answer = async (): Promise<string[]> => {
    theirs.take(step);
    await until(() => theirs.outstanding === ours.outstanding);
    return theirs.said();
  };
  let said = await answer();
  // What Kafka only looks up, it looks up in what its log has confirmed.
  const deadlineMs = Date.now() + answerTimeoutMs;
  while (GroupTalk.isLookUp(step) && said.join() !== expected.join() && Date.now() < deadlineMs) {
    await delay(5);
    said = await answer();
  }
  assert.equal(inWords(expected, step), inWords(said, step));
}

/** Whole, where a comparison of lists would cut the lines short. */
function inWords(said: readonly string[], step: object): string {
  return [`after ${JSON.stringify(step)}`, ...said].join('\n');
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + answerTimeoutMs;
  while (!condition() && Date.now() < deadlineMs) await delay(1);
}

/** A connection that asks one thing after the other. */
class KafkaConnection {
  readonly #socket: Socket;
  readonly #frames = new FrameAssembler(() => frameBytesMax);
  #answered: (frame: Buffer) => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#frames.push(chunk)) this.#answered(frame);
    });
  }

  static async open(brokerList: string): Promise<KafkaConnection> {
    const [host, port] = brokerList.split(',')[0]!.split(':') as [string, string];
    const socket = connect(Number(port), host);
    await once(socket, 'connect');
    return new KafkaConnection(socket);
  }

  readonly ask: Ask = async (_line, request: Message, response: Message, version, body) => {
    const isFlexible = includesVersion(request.flexible, version);
    const writer = new WireWriter();
    writer.int16(request.apiKey);
    writer.int16(version);
    writer.int32(0);
    const clientId = 'test';
    writer.int16(clientId.length);
    writer.text(clientId, clientId.length);
    if (isFlexible) writer.uvarint(0);
    request.encode(writer, body, version);
    const length = Buffer.alloc(4);
    length.writeInt32BE(writer.length);
    const answered = new Promise<Buffer>((resolve) => {
      this.#answered = resolve;
    });
    this.#socket.write(Buffer.concat([length, writer.finish()]));
    const frame = await answered;
    // The correlation id, and tagged fields of which there are none.
    return response.decode(frame.subarray(isFlexible ? 5 : 4), version) as never;
  };

  close(): void {
    this.#socket.destroy();
  }
}

/** Kafka makes the topic of its groups when somebody first looks for their coordinator, and reads each of its partitions then. */
async function untilReady(connection: KafkaConnection, groupId: string): Promise<void> {
  for (;;) {
    const group = { key: groupId, keyType: 0 };
    const found = await connection.ask('', findCoordinatorRequest, findCoordinatorResponse, 1, group);
    const asked = { groups: [groupId] };
    const { groups } = await connection.ask('', describeGroupsRequest, describeGroupsResponse, 5, asked);
    if (found.errorCode === 0 && groups[0]!.errorCode === 0) return;
    await delay(20);
  }
}
