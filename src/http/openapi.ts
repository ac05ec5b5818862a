import { scanLimitMax } from '../database/database.ts';
import { type ErrorCode, errorTable } from '../kernel/errors.ts';
import { batchKeysMax } from './batch-handler.ts';

type Json = Readonly<Record<string, unknown>>;

/** The API's description (OpenAPI 3.1), served at /openapi.json. */
export function openApi(version: string, valueBytesMax: number): Json {
  const read = {
    parameters: [keyParameter, consistencyParameter, positionHeader, acceptHeader, conditionHeader],
    responses: {
      200: { description: 'The value.', headers: metadataHeaders, content: valueContent },
      304: { description: 'The client has this version.', headers: metadataHeaders },
      ...problems([
        'key_missing',
        'key_empty',
        'key_too_long',
        'key_encoding',
        'parameter_unknown',
        'key_not_found',
        'uri_too_long',
        'not_caught_up',
        'position_not_reached',
      ]),
    },
  };
  const peek = {
    parameters: [keyParameter],
    responses: {
      200: {
        description: 'The value in this node’s memory.',
        headers: { ...metadataHeaders, ...weightHeaders },
        content: valueContent,
      },
      ...problems(['key_missing', 'key_not_found', 'not_caught_up']),
    },
  };
  const batch = {
    parameters: [consistencyParameter, positionHeader],
    requestBody: {
      required: true,
      description: 'The keys.',
      content: { 'application/json': { schema: { $ref: '#/components/schemas/BatchKeys' } } },
    },
    responses: {
      200: {
        description: 'One answer for each key, in their order.',
        headers: {
          'Bitacora-Position': header(
            'partition:position of every partition that was read; not there when it is long.',
          ),
        },
        content: { 'application/json': { schema: { $ref: '#/components/schemas/BatchAnswers' } } },
      },
      ...problems([
        'request_malformed',
        'key_missing',
        'parameter_unknown',
        'parameter_invalid',
        'body_too_large',
        'content_encoding_unsupported',
        'content_type_unsupported',
      ]),
    },
  };
  const scan = {
    parameters: [...boundParameters, scanLimitParameter, keysOnlyParameter, consistencyParameter, positionHeader],
    responses: {
      200: {
        description: 'Some entries, in byte order of their keys.',
        headers: { 'Bitacora-Position': header('partition:position of every partition; not there when it is long.') },
        content: { 'application/json': { schema: { $ref: '#/components/schemas/ScanPage' } } },
      },
      ...problems([
        'parameter_unknown',
        'parameter_invalid',
        'uri_too_long',
        'scan_disabled',
        'not_caught_up',
        'scan_not_ready',
        'position_not_reached',
        'log_unavailable',
      ]),
    },
  };
  const write = {
    parameters: [keyParameter, valueParameter, waitParameter, ttlParameter],
    requestBody: {
      description: `The value, at most ${valueBytesMax} bytes, in place of the parameter.`,
      content: { 'application/octet-stream': {} },
    },
    responses: {
      200: written,
      ...problems([
        'key_missing',
        'value_missing',
        'value_ambiguous',
        'value_too_large',
        'content_encoding_unsupported',
        'log_unavailable',
        'overloaded',
        'topic_unusable',
        'write_outcome_unknown',
      ]),
    },
  };
  const remove = {
    parameters: [keyParameter, waitParameter],
    responses: { 200: written, ...problems(['key_missing', 'log_unavailable', 'write_outcome_unknown']) },
  };
  return {
    openapi: '3.1.0',
    info: { title: 'bitacora', version, description: 'A compacted Kafka topic, served as a key-value database.' },
    paths: {
      '/rpc': {
        get: { operationId: 'get', summary: 'Reads a key.', ...read },
        head: { operationId: 'head', summary: 'Reads a key’s metadata.', ...read },
        put: { operationId: 'put', summary: 'Sets a key.', ...write },
        post: { operationId: 'post', summary: 'Sets a key.', ...write },
        delete: { operationId: 'delete', summary: 'Deletes a key; one that is not there is not an error.', ...remove },
      },
      '/rpc/cluster': {
        get: { operationId: 'peek', summary: 'What this node alone has; for other nodes.', ...peek },
        head: { operationId: 'peekHead', summary: 'The metadata of what this node alone has.', ...peek },
      },
      '/rpc/batch': { post: { operationId: 'batch', summary: 'Reads many keys.', ...batch } },
      '/rpc/scan': {
        get: { operationId: 'scan', summary: 'Reads keys in their order, from this node’s memory.', ...scan },
        head: { operationId: 'scanHead', summary: 'The headers of a scan.', ...scan },
      },
      '/health/live': page('live', 'Whether the process answers.', 'application/json'),
      '/health/ready': {
        get: {
          operationId: 'ready',
          summary: 'Whether the node has caught up with the log and keeps up.',
          responses: {
            200: { description: 'Ready.', content: { 'application/json': {} } },
            503: { description: 'Not ready, and why.', content: { 'application/json': {} } },
          },
        },
      },
      '/metrics': page('metrics', 'Metrics in Prometheus’ text format.', 'text/plain'),
      '/cluster': page('cluster', 'The nodes of the cluster, as this one knows them.', 'application/json'),
      '/openapi.json': page('openapi', 'This document.', 'application/json'),
    },
    components: {
      schemas: {
        Value: valueSchema,
        BatchKeys: batchKeysSchema,
        BatchAnswers: batchAnswersSchema,
        ScanPage: scanPageSchema,
        Written: writtenSchema,
        Problem: problemSchema,
      },
    },
  };
}

const keyParameter = {
  name: 'key',
  in: 'query',
  required: true,
  description: '1 to 65,536 bytes; percent-encoding carries any byte.',
  schema: { type: 'string', minLength: 1 },
};
const valueParameter = {
  name: 'value',
  in: 'query',
  description: 'The value, in place of a body.',
  schema: { type: 'string' },
};
const waitParameter = {
  name: 'wait',
  in: 'query',
  description: 'applied: answer when this node’s reads see the write. logged: when the log has it.',
  schema: { enum: ['applied', 'logged'], default: 'applied' },
};
const ttlParameter = {
  name: 'ttlMs',
  in: 'query',
  description: 'Milliseconds after which the value is gone.',
  schema: { type: 'integer', minimum: 1 },
};
const boundParameters = Object.entries({
  prefix: 'What keys begin with.',
  from: 'The least key.',
  to: 'Keys are less than this.',
  after: 'Keys are greater than this: what the answer before said.',
}).map(([name, description]) => ({ name, in: 'query', description, schema: { type: 'string' } }));
const scanLimitParameter = {
  name: 'limit',
  in: 'query',
  description: 'Entries of the answer, which may have fewer.',
  schema: { type: 'integer', minimum: 1, maximum: scanLimitMax, default: 100 },
};
const keysOnlyParameter = {
  name: 'keysOnly',
  in: 'query',
  description: 'Leaves values out.',
  schema: { type: 'boolean', default: false },
};
const consistencyParameter = {
  name: 'consistency',
  in: 'query',
  description:
    'session waits for the positions in Bitacora-Position; linearizable for everything logged before the request.',
  schema: { enum: ['local', 'session', 'linearizable'], default: 'local' },
};
const positionHeader = {
  name: 'Bitacora-Position',
  in: 'header',
  description: 'For session reads: the positions that earlier answers carried, merged.',
  schema: { type: 'string', examples: ['0:42,3:17'] },
};
const acceptHeader = {
  name: 'Accept',
  in: 'header',
  description: 'application/octet-stream or text/plain for the raw bytes.',
  schema: { type: 'string' },
};
const conditionHeader = { name: 'If-None-Match', in: 'header', schema: { type: 'string' } };

function header(description: string): Json {
  return { description, schema: { type: 'string' } };
}

const metadataHeaders = {
  'Bitacora-Partition': header('The key’s partition.'),
  'Bitacora-Offset': header('The offset of the value’s record.'),
  'Bitacora-Timestamp': header('The record’s timestamp, in ms since the epoch.'),
  'Bitacora-Source': header('log: from this node’s memory. peer: from another node’s.'),
  'Bitacora-Position': header(
    'partition:position, the records that the answer rests on: those below; send it back in session reads.',
  ),
  ETag: header('Validator of this version in this representation.'),
};

/** By what another node weighs an answer; on 404 too. */
const weightHeaders = {
  'Bitacora-Caught-Up': header('Whether the node has read all of the partition that was there when it started.'),
  'Bitacora-Topic': header('The Kafka cluster’s id and the topic, CLUSTER/TOPIC.'),
};

const valueSchema = {
  type: 'object',
  required: ['key', 'value', 'partition', 'offset', 'timestamp', 'source'],
  properties: {
    key: { type: 'string' },
    keyEncoding: { const: 'base64' },
    value: { type: 'string' },
    encoding: { const: 'base64' },
    partition: { type: 'integer' },
    offset: { type: 'integer' },
    timestamp: { type: 'integer' },
    expiresAt: { type: 'integer' },
    contentType: { type: 'string' },
    source: { enum: ['log', 'peer'] },
  },
};
const batchKeysSchema = {
  type: 'object',
  required: ['keys'],
  properties: {
    keys: { type: 'array', items: { type: 'string' }, maxItems: batchKeysMax },
    keyEncoding: { const: 'base64' },
  },
};
const keyProblemSchema = {
  type: 'object',
  required: ['key', 'status', 'code', 'detail'],
  properties: {
    key: { type: 'string' },
    keyEncoding: { const: 'base64' },
    status: { type: 'integer' },
    code: { enum: Object.keys(errorTable) },
    detail: { type: 'string' },
  },
};
const batchAnswersSchema = {
  type: 'object',
  required: ['values', 'position'],
  properties: {
    values: {
      type: 'array',
      items: { anyOf: [valueSchema, keyProblemSchema] },
    },
    position: { type: 'string', description: 'As Bitacora-Position.' },
  },
};
const scanPageSchema = {
  type: 'object',
  required: ['entries', 'position'],
  properties: {
    entries: {
      type: 'array',
      items: {
        type: 'object',
        required: ['key', 'partition', 'offset', 'timestamp'],
        properties: {
          key: { type: 'string' },
          keyEncoding: { const: 'base64' },
          value: { type: 'string', description: 'Not there with keysOnly.' },
          encoding: { const: 'base64' },
          partition: { type: 'integer' },
          offset: { type: 'integer' },
          timestamp: { type: 'integer' },
          expiresAt: { type: 'integer' },
          contentType: { type: 'string' },
        },
      },
    },
    after: { type: 'string', description: 'Where to go on; not there when there is no more.' },
    afterEncoding: { const: 'base64' },
    position: { type: 'string', description: 'As Bitacora-Position, of all partitions.' },
  },
};
const writtenSchema = {
  type: 'object',
  required: ['key', 'partition', 'offset', 'timestamp'],
  properties: {
    key: { type: 'string' },
    keyEncoding: { const: 'base64' },
    partition: { type: 'integer' },
    offset: { type: 'integer' },
    timestamp: { type: 'integer' },
    applied: { const: false, description: 'There when this node’s reads do not see the write yet.' },
  },
};
const problemSchema = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { enum: Object.keys(errorTable) },
    detail: { type: 'string' },
  },
};

const valueContent = {
  'application/json': { schema: { $ref: '#/components/schemas/Value' } },
  'application/octet-stream': {},
  'text/plain': {},
};
const written = {
  description: 'The log has the write.',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Written' } } },
};

/** The answers of some errors, one for each status. */
function problems(codes: readonly ErrorCode[]): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = errorTable[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, sharing]) => [
      status,
      {
        description: sharing.map((code) => `\`${code}\`: ${errorTable[code].title}.`).join(' '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

function page(operationId: string, summary: string, mediaType: string): Json {
  return { get: { operationId, summary, responses: { 200: { description: summary, content: { [mediaType]: {} } } } } };
}
