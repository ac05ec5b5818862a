import avsc from 'avsc';
import { CheckedType } from './checked-type.ts';
import { hashBytes } from './protocol.ts';

/** What a connection opens with, in front of its first call (Avro specification, "Handshake"). */
export interface HandshakeRequest {
  readonly clientHash: Buffer;
  readonly clientProtocol: string | null;
  readonly serverHash: Buffer;
}

export interface HandshakeResponse {
  /** BOTH: each knows the other's protocol. CLIENT: the client has to take the server's. NONE: the client's has to be sent. */
  readonly match: 'BOTH' | 'CLIENT' | 'NONE';
  readonly serverProtocol: string | null;
  readonly serverHash: Buffer | null;
}

const namespace = 'org.apache.avro.ipc';
const hash = { type: 'fixed', name: 'MD5', size: hashBytes } as const;
const metadata = { type: 'map', values: 'bytes' } as const;
const optionalMetadata = { name: 'meta', type: ['null', metadata], default: null };

export const handshakeRequests = new CheckedType<HandshakeRequest>(
  avsc.Type.forSchema({
    type: 'record',
    name: 'HandshakeRequest',
    namespace,
    fields: [
      { name: 'clientHash', type: hash },
      { name: 'clientProtocol', type: ['null', 'string'], default: null },
      { name: 'serverHash', type: 'MD5' },
      optionalMetadata,
    ],
  } as avsc.Schema),
);

export const handshakeResponses = new CheckedType<HandshakeResponse>(
  avsc.Type.forSchema({
    type: 'record',
    name: 'HandshakeResponse',
    namespace,
    fields: [
      { name: 'match', type: { type: 'enum', name: 'HandshakeMatch', symbols: ['BOTH', 'CLIENT', 'NONE'] } },
      { name: 'serverProtocol', type: ['null', 'string'], default: null },
      { name: 'serverHash', type: ['null', hash], default: null },
      optionalMetadata,
    ],
  } as avsc.Schema),
);

/** The metadata in front of every call and answer, which nothing here reads. */
export const callMetadata = new CheckedType<Readonly<Record<string, Buffer>>>(avsc.Type.forSchema(metadata));
