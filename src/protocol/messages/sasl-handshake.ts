import { arrayOf, int16, message, string } from '../schema.ts';

export const saslHandshakeRequest = message(
  'SaslHandshakeRequest',
  17,
  { versions: '0-1', flexible: 'none' },
  {
    mechanism: string('0+'),
  },
);

export const saslHandshakeResponse = message(
  'SaslHandshakeResponse',
  17,
  { versions: '0-1', flexible: 'none' },
  {
    errorCode: int16('0+'),
    mechanisms: arrayOf(string)('0+'),
  },
);
