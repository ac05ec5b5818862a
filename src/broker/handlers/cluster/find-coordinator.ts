import { KafkaError } from '../../../protocol/errors.ts';
import { findCoordinatorRequest, findCoordinatorResponse } from '../../../protocol/messages/find-coordinator.ts';
import type { Faults } from '../../server/faults.ts';
import { handler } from '../../server/handler.ts';
import { brokerId } from './broker-id.ts';

const group = 0;
const transaction = 1;
const batchedFrom = 4;

/** FindCoordinator (key 10): there is one broker, and it coordinates everything. */
export function findCoordinator({ faults }: { faults: Faults }) {
  return handler({
    request: findCoordinatorRequest,
    response: findCoordinatorResponse,
    async handle({ version, connection }, { key, keyType, coordinatorKeys }) {
      const { advertisedHost: host, advertisedPort: port } = connection.listener;
      const find = (wanted: string) =>
        faults.part('a look-up of a coordinator', () => {
          if (keyType !== group && keyType !== transaction) {
            throw new KafkaError('INVALID_REQUEST', `There is no coordinator of type ${keyType} here.`);
          }
          // A consumer without a group asks with an empty one in old versions, and is answered.
          if (wanted === '' && keyType === transaction) {
            throw new KafkaError('INVALID_REQUEST', 'A transactional id is not empty.');
          }
          return { nodeId: brokerId, host, port };
        });
      const none = { nodeId: -1, host: '', port: -1 };
      if (version < batchedFrom) return { ...none, ...(await find(key)) };
      return {
        coordinators: await Promise.all(
          coordinatorKeys.map(async (wanted) => ({ ...none, key: wanted, ...(await find(wanted)) })),
        ),
      };
    },
  });
}
