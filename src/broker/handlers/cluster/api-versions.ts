import { kafkaErrors } from '../../../protocol/errors.ts';
import { apiVersionsRequest, apiVersionsResponse } from '../../../protocol/messages/api-versions.ts';
import { versionRange } from '../../../protocol/schema.ts';
import { type Handler, handler } from '../../server/handler.ts';

/** What a client may call itself (KIP-511); it ends up in logs and metrics of brokers. */
const softwarePattern = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;
const softwareFrom = 3;

/** ApiVersions (key 18): what is served, read from the very handlers that serve it. */
export function apiVersions(handlers: () => Iterable<Handler>) {
  return handler({
    request: apiVersionsRequest,
    response: apiVersionsResponse,
    handle({ version }, { clientSoftwareName, clientSoftwareVersion }) {
      const isNamed = softwarePattern.test(clientSoftwareName) && softwarePattern.test(clientSoftwareVersion);
      if (version >= softwareFrom && !isNamed) return { errorCode: kafkaErrors.INVALID_REQUEST.code };
      const apiKeys = [...handlers()]
        .map(({ request, advertised }) => {
          const { from, to } = versionRange(advertised);
          return { apiKey: request.apiKey, minVersion: from, maxVersion: to };
        })
        .sort((a, b) => a.apiKey - b.apiKey);
      return { apiKeys };
    },
  });
}
