import { KafkaError } from '../../../protocol/errors.ts';
import { saslAuthenticateRequest, saslAuthenticateResponse } from '../../../protocol/messages/sasl-authenticate.ts';
import { handler } from '../../server/handler.ts';

/** SaslAuthenticate (key 36): one message of the mechanism that the handshake chose, and its answer. */
export const saslAuthenticate = handler({
  request: saslAuthenticateRequest,
  response: saslAuthenticateResponse,
  handle({ connection }, { authBytes }) {
    const { exchange } = connection;
    if (exchange === undefined) {
      throw new KafkaError('ILLEGAL_SASL_STATE', 'SaslAuthenticate request received after successful authentication');
    }
    try {
      const { reply, user } = exchange.next(authBytes);
      if (user !== undefined) {
        connection.user = user;
        connection.exchange = undefined;
      }
      return { authBytes: reply };
    } catch (error) {
      connection.exchange = undefined;
      throw error;
    }
  },
});
