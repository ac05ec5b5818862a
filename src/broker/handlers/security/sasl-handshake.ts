import { kafkaErrors } from '../../../protocol/errors.ts';
import { saslHandshakeRequest, saslHandshakeResponse } from '../../../protocol/messages/sasl-handshake.ts';
import { type Sasl, saslMechanisms } from '../../security/sasl.ts';
import { handler } from '../../server/handler.ts';

/** SaslHandshake (key 17): chooses the mechanism. After version 0 the messages come without requests around them (KIP-152). */
export function saslHandshake(sasl: Sasl) {
  return handler({
    request: saslHandshakeRequest,
    response: saslHandshakeResponse,
    handle({ version, connection }, { mechanism }) {
      const mechanisms = connection.listener.requiresLogin ? [...saslMechanisms] : [];
      if (!connection.listener.requiresLogin || connection.user !== undefined) {
        return { errorCode: kafkaErrors.ILLEGAL_SASL_STATE.code, mechanisms };
      }
      connection.exchange = sasl.begin(mechanism);
      connection.isRawExchange = version === 0 && connection.exchange !== undefined;
      const errorCode = connection.exchange === undefined ? kafkaErrors.UNSUPPORTED_SASL_MECHANISM.code : 0;
      return { errorCode, mechanisms };
    },
  });
}
