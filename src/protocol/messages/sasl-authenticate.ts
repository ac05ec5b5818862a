import { bytes, int16, int64, message, string } from '../schema.ts';

export const saslAuthenticateRequest = message(
  'SaslAuthenticateRequest',
  36,
  { versions: '0-2', flexible: '2+' },
  {
    authBytes: bytes('0+'),
  },
);

export const saslAuthenticateResponse = message(
  'SaslAuthenticateResponse',
  36,
  { versions: '0-2', flexible: '2+' },
  {
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    authBytes: bytes('0+'),
    sessionLifetimeMs: int64('1+'),
  },
);
