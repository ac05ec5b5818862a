import { KafkaError } from '../../../protocol/errors.ts';
import { describeClusterRequest, describeClusterResponse } from '../../../protocol/messages/describe-cluster.ts';
import { handler } from '../../server/handler.ts';
import { brokerId } from './broker-id.ts';

const brokers = 1;

/** DescribeCluster (key 60). */
export function describeCluster({ clusterId }: { clusterId: string }) {
  return handler({
    request: describeClusterRequest,
    response: describeClusterResponse,
    handle({ connection }, { endpointType }) {
      if (endpointType !== brokers) {
        throw new KafkaError('UNSUPPORTED_ENDPOINT_TYPE', 'There are brokers here, and no controllers of their own.');
      }
      const { advertisedHost: host, advertisedPort: port } = connection.listener;
      return { clusterId, controllerId: brokerId, brokers: [{ brokerId, host, port }], endpointType };
    },
    failure: (errorCode, errorMessage) => ({ errorCode, errorMessage, clusterId }),
  });
}
