import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { freePort } from '../../support/kafka/ports.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));

/** What a user of the package would write. */
const program = `
import { Client, connect, DatabaseError, type Entry, type Written } from 'bitacora/client';

const client: Client = await connect({ nodes: ['localhost:8182'], timeoutMs: 100 });
const written: Written = await client.put('key', new Uint8Array([1]), { wait: 'logged', ttlMs: 1000 });
const entry: Entry | undefined = await client.get('key', { consistency: 'session' });
const [first] = await client.getMany(['key', Buffer.from('other')]);
if (first?.status === 'fulfilled') console.log(first.value?.value.toString('utf8'), written.offset, entry?.timestampMs);
for await (const { key, value } of client.scan({ prefix: 'k', limit: 10 })) console.log(key.toString(), value.toString());
for await (const { key } of client.scan({ keysOnly: true })) console.log(key.toString());
if (first?.status === 'rejected' && first.reason instanceof DatabaseError) console.log(first.reason.code);
`;

/** What it must not be let write. */
const mistakes = [
  "import { CallQueue } from 'bitacora/client';",
  "import 'bitacora/dist/client/client.js';",
  "import { connect } from 'bitacora/client'; await connect({ nodes: 'localhost:1' });",
  "import { Client } from 'bitacora/client'; await new Client({ nodes: [] }).get('k', { consistency: 'strong' });",
  "import { Client } from 'bitacora/client'; for await (const e of new Client({ nodes: [] }).scan({ keysOnly: true })) e.value;",
];

const options = {
  module: 'nodenext',
  target: 'es2022',
  strict: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  types: ['node'],
};

describe('the package of the client', function () {
  this.timeout(120_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-package-'));
    // Found by its name as in any program that has it among its dependencies, with Node.js' types beside it.
    const modules = join(folder, 'node_modules');
    await run('mkdir', ['-p', join(modules, '@types')]);
    await symlink(root, join(modules, 'bitacora'));
    await symlink(join(root, 'node_modules/@types/node'), join(modules, '@types/node'));
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  /** What the compiler has to say of programs, each in a file of its own. */
  async function typeCheck(programs: Readonly<Record<string, string>>): Promise<string> {
    for (const [name, text] of Object.entries(programs)) await writeFile(join(folder, name), text);
    const config = join(folder, 'tsconfig.json');
    await writeFile(config, JSON.stringify({ compilerOptions: options, files: Object.keys(programs) }));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    return run(process.execPath, [tsc, '-p', config], { cwd: folder }).then(
      ({ stdout }) => stdout,
      ({ stdout }) => stdout as string,
    );
  }

  it('is imported by its name', async () => {
    const name = 'bitacora/client';
    const client = (await import(name)) as typeof import('../../../src/client/client.ts');
    expect(Object.keys(client).sort()).to.deep.equal(['Client', 'DatabaseError', 'connect']);
    const error = await client.connect({ nodes: [] }).catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(TypeError);
  });

  it('says in its types what it takes and gives', async () => {
    expect(await typeCheck({ 'program.ts': program })).to.equal('');
  });

  it('has types that find mistakes', async () => {
    const found = await typeCheck(
      Object.fromEntries(mistakes.map((mistake, index) => [`mistake-${index}.ts`, mistake])),
    );
    for (const [index, mistake] of mistakes.entries())
      expect(found, mistake).to.match(new RegExp(`^mistake-${index}.*error TS`, 'm'));
  });

  it('runs in a program of its own, which ends by itself once the client is closed', async () => {
    const text = `
      import { connect } from 'bitacora/client';
      const outcome = await connect({ nodes: ['127.0.0.1:${await freePort()}'], timeoutMs: 100 }).catch((error) => error);
      console.log(outcome.name, outcome.code);
    `;
    await writeFile(join(folder, 'main.mjs'), text);
    const { stdout } = await run(process.execPath, [join(folder, 'main.mjs')]);
    expect(stdout).to.equal('DatabaseError unavailable\n');
  });
});
