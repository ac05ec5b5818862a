import { readFile, writeFile } from 'node:fs/promises';
import { PassThrough, Readable } from 'node:stream';
import { expect } from 'chai';
import { dispatch } from '../../../src/cli/dispatch.ts';
import { Output } from '../../../src/cli/output.ts';
import { snapshotCommands } from '../../../src/cli/snapshot-commands.ts';
import { keyCount, SnapshotRig } from '../../support/snapshot-rig.ts';

async function run(...argv: readonly string[]): Promise<{ code: number; stdout: string; notes: string }> {
  const stream = new PassThrough();
  const notes: string[] = [];
  const code = await dispatch(snapshotCommands, ['snapshot', ...argv], {
    environment: {},
    stdin: Readable.from([]),
    output: new Output(stream),
    note: (line) => void notes.push(line),
    interrupted: () => new AbortController().signal,
    programs: { startNode: async () => {}, startBroker: async () => {}, version: () => '' },
  });
  return { code, stdout: String(stream.read() ?? ''), notes: notes.join('\n') };
}

describe('snapshot commands', () => {
  const rig = new SnapshotRig();

  beforeEach(async () => {
    await rig.open();
    await rig.write('a');
  });

  afterEach(() => rig.close());

  it('inspect shows all but the seed', async () => {
    const { code, stdout } = await run('inspect', '--json', rig.path);
    expect(code).to.equal(0);
    const facts = JSON.parse(stdout) as Record<string, unknown>;
    expect(facts).to.deep.include({
      topic: 'topic',
      topicId: 'Yw4k5mUqTLi5jCrGBpLzIw',
      clusterId: 'cluster',
      createdAt: '2025-10-09T08:53:20.000Z',
      ordered: true,
      values: keyCount - 5,
      tombstones: 5,
      partitions: [{ partition: 0, position: keyCount, knownTo: keyCount, leaderEpoch: 0 }],
    });
    expect(stdout).not.to.contain('seed');
    const shown = await run('inspect', rig.path);
    expect(shown.code).to.equal(0);
    expect(shown.stdout)
      .to.match(/^topicId +Yw4k5mUqTLi5jCrGBpLzIw$/m)
      .and.to.match(/^ *0 +40 +40 +0$/m);
    expect(shown.stdout).not.to.contain('seed');
  });

  it('verify says what is sound', async () => {
    const { code, stdout } = await run('verify', rig.path);
    expect(code).to.equal(0);
    expect(stdout).to.match(/^sound: 35 values and 5 tombstones in \d+ blocks, \d+ bytes\n$/);
  });

  it('verify names the first fault and its byte, inspect only what it has read', async () => {
    const bytes = await readFile(rig.path);
    const block = 12 + bytes.readUInt32LE(8) + 4;
    bytes[block + 100]! ^= 1;
    await writeFile(rig.path, bytes);
    const { code, stdout, notes } = await run('verify', rig.path);
    expect({ code, stdout }).to.deep.equal({ code: 1, stdout: '' });
    expect(notes).to.equal(`bitacora: ${rig.path}: a block’s checksum is wrong, at byte ${block}`);
    expect((await run('inspect', rig.path)).code).to.equal(0);
    await writeFile(rig.path, bytes.subarray(0, -1));
    for (const name of ['inspect', 'verify']) {
      expect((await run(name, rig.path)).notes).to.contain(`the end is missing, at byte ${bytes.length - 21}`);
    }
  });

  it('say which file is not there, or is something else', async () => {
    for (const name of ['inspect', 'verify']) {
      const missing = await run(name, `${rig.path}.not`);
      expect(missing.code).to.equal(1);
      expect(missing.notes).to.contain('ENOENT').and.to.contain(`${rig.path}.not`);
      expect((await run(name, import.meta.filename)).notes).to.contain('this is no snapshot');
      expect((await run(name, rig.folder)).code).to.equal(1);
    }
  });
});
