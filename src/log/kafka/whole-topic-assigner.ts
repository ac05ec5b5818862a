import kafkajs, { type PartitionAssigner } from 'kafkajs';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const version = 0;
const userData = Buffer.alloc(0);

/**
 * Gives every member every partition. A node's group has one member, the node; should two processes ever share a group
 * (the same NODENAME and API_PORT on two machines), each still reads the whole topic instead of silently reading half.
 */
export const wholeTopicAssigner: PartitionAssigner = ({ cluster }) => ({
  name: 'bitacora-whole-topic',
  version,
  assign: async ({ members, topics }) => {
    const assignment = Object.fromEntries(
      topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)]),
    );
    return members.map(({ memberId }) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version, assignment, userData }),
    }));
  },
  protocol: ({ topics }) => ({
    name: 'bitacora-whole-topic',
    metadata: MemberMetadata.encode({ version, topics: [...topics], userData }),
  }),
});
