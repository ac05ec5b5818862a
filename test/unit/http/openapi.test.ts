import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { openApi } from '../../../src/http/openapi.ts';
import { errorTable } from '../../../src/kernel/errors.ts';
import { ask } from '../../support/http-client.ts';
import { startReadyNode, type TestNode, version } from '../../support/http-node.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { name: string; in: string; schema: object }[];
  readonly responses: Readonly<Record<string, { description: string; headers?: object; content?: object }>>;
}

interface Document {
  readonly openapi: string;
  readonly info: { title: string; version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { schemas: Readonly<Record<string, object>> };
}

/** As far as OpenAPI 3.1.1 goes here: what an object must have and may have, and of which type. */
const header = {
  type: 'object',
  required: ['schema'],
  properties: { description: { type: 'string' }, schema: { type: 'object' } },
  additionalProperties: false,
};
const content = {
  type: 'object',
  propertyNames: { pattern: '^[a-z]+/[a-z0-9.+-]+$' },
  additionalProperties: {
    type: 'object',
    properties: { schema: { type: 'object' } },
    additionalProperties: false,
  },
};
const parameter = {
  type: 'object',
  required: ['name', 'in', 'schema'],
  properties: {
    name: { type: 'string', minLength: 1 },
    in: { enum: ['query', 'header'] },
    required: { type: 'boolean' },
    description: { type: 'string' },
    schema: { type: 'object' },
  },
  additionalProperties: false,
};
const operation = {
  type: 'object',
  required: ['operationId', 'summary', 'responses'],
  properties: {
    operationId: { type: 'string', pattern: '^[a-zA-Z]+$' },
    summary: { type: 'string', minLength: 1 },
    parameters: { type: 'array', items: parameter },
    requestBody: {
      type: 'object',
      required: ['content'],
      properties: { description: { type: 'string' }, content, required: { type: 'boolean' } },
      additionalProperties: false,
    },
    responses: {
      type: 'object',
      minProperties: 1,
      propertyNames: { pattern: '^[1-5]\\d\\d$' },
      additionalProperties: {
        type: 'object',
        required: ['description'],
        properties: {
          description: { type: 'string', minLength: 1 },
          headers: { type: 'object', additionalProperties: header },
          content,
        },
        additionalProperties: false,
      },
    },
  },
  additionalProperties: false,
};
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const documentSchema = {
  type: 'object',
  required: ['openapi', 'info', 'paths', 'components'],
  properties: {
    openapi: { type: 'string', pattern: '^3\\.1\\.\\d+$' },
    info: {
      type: 'object',
      required: ['title', 'version'],
      properties: { title: { type: 'string' }, version: { type: 'string' }, description: { type: 'string' } },
      additionalProperties: false,
    },
    paths: {
      type: 'object',
      propertyNames: { pattern: '^/' },
      additionalProperties: {
        type: 'object',
        properties: Object.fromEntries(methods.map((method) => [method, operation])),
        additionalProperties: false,
      },
    },
    components: {
      type: 'object',
      required: ['schemas'],
      properties: { schemas: { type: 'object', propertyNames: { pattern: '^[a-zA-Z0-9._-]+$' } } },
      additionalProperties: false,
    },
  },
  additionalProperties: false,
};

describe('/openapi.json', () => {
  let node: TestNode;
  let document: Document;
  before(async () => {
    node = await startReadyNode({ valueBytesMax: 4321 });
    document = (await ask(node, 'GET', '/openapi.json')).json() as unknown as Document;
  });
  after(() => node.stop());

  const operations = (): [method: string, path: string, operation: Operation][] =>
    Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, described]): [string, string, Operation] => [method, path, described]),
    );

  it('is the description of this version with its limit', () => {
    expect(document).to.deep.equal(JSON.parse(JSON.stringify(openApi(version, 4321))));
    expect(document.info.version).to.equal(version);
    expect(JSON.stringify(document.paths['/rpc']?.put)).to.include('4321');
  });

  it('has the shape of an OpenAPI 3.1 document', () => {
    const ajv = new Ajv2020({ allErrors: true });
    ajv.validate(documentSchema, document);
    expect(ajv.errors).to.equal(null);
  });

  it('has schemas that are JSON Schema 2020-12, as OpenAPI 3.1 wants them', () => {
    const ajv = new Ajv2020({ strict: true, validateSchema: true });
    const inline = operations().flatMap(([, , { parameters = [] }]) => parameters.map(({ schema }) => schema));
    for (const schema of [...Object.values(document.components.schemas), ...inline]) {
      expect(() => ajv.compile(schema), JSON.stringify(schema)).not.to.throw();
    }
  });

  it('names each operation once, and each parameter of it once', () => {
    const names = operations().map(([, , { operationId }]) => operationId);
    expect(new Set(names).size).to.equal(names.length);
    for (const [, , { parameters = [] }] of operations()) {
      const placed = parameters.map((entry) => `${entry.in} ${entry.name}`);
      expect(new Set(placed).size).to.equal(placed.length);
    }
  });

  it('refers to nothing that is not there', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    expect(references.length).to.be.greaterThan(0);
    for (const [, name] of references) expect(document.components.schemas).to.have.property(name!);
    expect(JSON.stringify(document).match(/\$ref/g)).to.have.length(references.length);
  });

  it('describes every path and method that is served, and no other', async () => {
    const paths = Object.keys(document.paths);
    const served: string[] = [];
    for (const path of paths) {
      for (const method of methods) {
        const { status, headers } = await ask(node, method.toUpperCase(), path);
        expect(status, `${method} ${path}`).not.to.equal(404);
        if (status !== 405) served.push(`${method} ${path}`);
        else expect(headers.allow).not.to.include(method.toUpperCase());
      }
    }
    // Where only GET is described, HEAD is its shadow (RFC 9110, 9.3.2).
    const described = operations().map(([method, path]) => `${method} ${path}`);
    const onlyGet = paths.filter((path) => document.paths[path]!.get && !document.paths[path]!.head);
    const shadows = onlyGet.map((path) => `head ${path}`);
    expect(served).to.have.members([...described, ...shadows]);
  });

  it('leaves out no path that the server names', () => {
    const source = ['http-server', 'app']
      .map((name) => readFileSync(new URL(`../../../src/http/${name}.ts`, import.meta.url), 'utf8'))
      .join('\n');
    const named = new Set([...source.matchAll(/'(\/[a-z][a-z./-]*)'/g)].map(([, path]) => path));
    expect([...named]).to.have.members(Object.keys(document.paths));
  });

  it('describes the parameters that are taken', async () => {
    const taken: Readonly<Record<string, string>> = {
      key: 'k',
      value: 'v',
      wait: 'logged',
      ttlMs: '1000',
      consistency: 'local',
      prefix: 'p',
      from: 'f',
      to: 't',
      after: 'a',
      limit: '1',
      keysOnly: 'true',
    };
    for (const [method, path, { parameters = [] }] of operations()) {
      if (parameters.length === 0) continue;
      const described = parameters.filter((entry) => entry.in === 'query').map(({ name }) => name);
      for (const [name, value] of Object.entries(taken)) {
        const answer = await ask(node, method === 'head' ? 'GET' : method.toUpperCase(), `${path}?${name}=${value}`);
        const unknown = answer.status === 400 && answer.json().code === 'parameter_unknown';
        expect(unknown, `${method} ${path} ${name}`).to.equal(!described.includes(name));
      }
    }
  });

  it('describes the answers as they are', async () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true });
    const matches = (name: string, value: unknown): void => {
      const closed = { ...document.components.schemas[name], additionalProperties: false };
      ajv.validate(closed, value);
      expect(ajv.errors, JSON.stringify(value)).to.equal(null);
    };
    const headers = { 'Content-Type': 'text/x' };
    for (const [key, value] of [
      ['k', 'v'],
      ['%FF', Buffer.from([0xff])],
    ] as const) {
      matches('Written', (await ask(node, 'PUT', `/rpc?key=${key}&ttlMs=100000`, { body: value, headers })).json());
      const answer = await ask(node, 'GET', `/rpc?key=${key}`);
      matches('Value', answer.json());
      const described = Object.keys(document.paths['/rpc']!.get!.responses['200']!.headers ?? {});
      for (const name of described) expect(answer.headers).to.have.property(name.toLowerCase());
    }
    node.log.holdAfter(0);
    matches('Written', (await ask(node, 'DELETE', '/rpc?key=k&wait=logged')).json());
    node.log.release();
    const keys = { body: '{"keys":["/w==","bm9uZQ=="],"keyEncoding":"base64"}' };
    matches('BatchAnswers', (await ask(node, 'POST', '/rpc/batch', keys)).json());
    for (const path of ['/rpc', '/rpc?key=none', '/nowhere', '/rpc?key=k&x']) {
      matches('Problem', (await ask(node, 'GET', path)).json());
    }
  });

  it('describes no error under a status that it does not have', () => {
    for (const [method, path, { responses }] of operations()) {
      for (const [status, { description, content = {} }] of Object.entries(responses)) {
        if (!('application/problem+json' in content)) continue;
        const codes = [...description.matchAll(/`(\w+)`/g)].map(([, code]) => code as keyof typeof errorTable);
        expect(codes.length, `${method} ${path} ${status}`).to.be.greaterThan(0);
        for (const code of codes) expect(String(errorTable[code]?.status), code).to.equal(status);
      }
    }
  });
});
