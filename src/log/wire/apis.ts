import { apiVersionsRequest, apiVersionsResponse } from '../../protocol/messages/api-versions.ts';
import { fetchRequest, fetchResponse } from '../../protocol/messages/fetch.ts';
import { findCoordinatorRequest, findCoordinatorResponse } from '../../protocol/messages/find-coordinator.ts';
import { initProducerIdRequest, initProducerIdResponse } from '../../protocol/messages/init-producer-id.ts';
import { metadataRequest, metadataResponse } from '../../protocol/messages/metadata.ts';
import { offsetCommitRequest, offsetCommitResponse } from '../../protocol/messages/offset-commit.ts';
import {
  offsetForLeaderEpochRequest,
  offsetForLeaderEpochResponse,
} from '../../protocol/messages/offset-for-leader-epoch.ts';
import { produceRequest, produceResponse } from '../../protocol/messages/produce.ts';
import { saslAuthenticateRequest, saslAuthenticateResponse } from '../../protocol/messages/sasl-authenticate.ts';
import { saslHandshakeRequest, saslHandshakeResponse } from '../../protocol/messages/sasl-handshake.ts';
import type { Message } from '../../protocol/schema.ts';

/** A request and what answers it. */
export interface Api<Q extends Message = Message, A extends Message = Message> {
  readonly request: Q;
  readonly response: A;
}

/** What the node asks brokers by itself. */
export const apis = {
  apiVersions: { request: apiVersionsRequest, response: apiVersionsResponse },
  fetch: { request: fetchRequest, response: fetchResponse },
  findCoordinator: { request: findCoordinatorRequest, response: findCoordinatorResponse },
  initProducerId: { request: initProducerIdRequest, response: initProducerIdResponse },
  metadata: { request: metadataRequest, response: metadataResponse },
  offsetCommit: { request: offsetCommitRequest, response: offsetCommitResponse },
  offsetForLeaderEpoch: { request: offsetForLeaderEpochRequest, response: offsetForLeaderEpochResponse },
  produce: { request: produceRequest, response: produceResponse },
  saslAuthenticate: { request: saslAuthenticateRequest, response: saslAuthenticateResponse },
  saslHandshake: { request: saslHandshakeRequest, response: saslHandshakeResponse },
} as const satisfies Record<string, Api>;
