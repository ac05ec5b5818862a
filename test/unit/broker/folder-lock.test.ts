import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { FolderInUseError, FolderLock } from '../../../src/broker/folder-lock.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { FakeClock, settled } from '../../support/fake-clock.ts';

const lockFile = fileURLToPath(new URL('../../../src/broker/folder-lock.ts', import.meta.url));
const clockFile = fileURLToPath(new URL('../../../src/kernel/clock.ts', import.meta.url));

async function refusalOf(attempt: Promise<unknown>): Promise<Error | undefined> {
  return attempt.then(
    () => undefined,
    (error: Error) => error,
  );
}

describe('the lock of a data folder', () => {
  let folder: string;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-lock-'));
  });

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  /** Another process that takes the lock; resolves to whether it got it. */
  async function contender(): Promise<{ child: ChildProcess; gotIt: boolean }> {
    const script = [
      `import { FolderLock } from ${JSON.stringify(lockFile)};`,
      `import { systemClock } from ${JSON.stringify(clockFile)};`,
      `FolderLock.take(${JSON.stringify(folder)}, systemClock).then(() => console.log('taken'), () => console.log('refused'));`,
      'setInterval(() => {}, 1000);',
    ].join('\n');
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const [chunk] = (await once(child.stdout!, 'data')) as [Buffer];
    return { child, gotIt: chunk.toString().startsWith('taken') };
  }

  it('is had by one broker at a time, also within a process', async () => {
    const lock = await FolderLock.take(folder, systemClock);
    expect(await refusalOf(FolderLock.take(folder, systemClock)))
      .to.be.instanceOf(FolderInUseError)
      .with.property('message', `${folder} is in use by process ${process.pid}: stop it, or give another data folder`);
    await lock.release();
    await (await FolderLock.take(folder, systemClock)).release();
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('is refused while another process has it, and had again when that one was killed', async () => {
    const { child, gotIt } = await contender();
    expect(gotIt).to.equal(true);
    expect(await refusalOf(FolderLock.take(folder, systemClock))).to.be.instanceOf(FolderInUseError);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await (await FolderLock.take(folder, systemClock)).release();
  });

  it('is refused while another thread of the process has it, and left to whoever knows that one to have ended', async () => {
    const script = [
      // A thread does not have the loader of its process.
      "import('tsx/esm/api').then(({ register }) => register())",
      `  .then(() => import(${JSON.stringify(lockFile)}))`,
      `  .then(({ FolderLock }) => import(${JSON.stringify(clockFile)})`,
      `    .then(({ systemClock }) => FolderLock.take(${JSON.stringify(folder)}, systemClock, 'the token')))`,
      "  .then(() => require('node:worker_threads').parentPort.postMessage('taken'));",
      'setInterval(() => {}, 1000);',
    ].join('\n');
    const thread = new Worker(script, { eval: true });
    try {
      await once(thread, 'message');
      expect(await refusalOf(FolderLock.take(folder, systemClock))).to.be.instanceOf(FolderInUseError);
    } finally {
      await thread.terminate();
    }
    // Nobody else can know that it has ended.
    expect(await refusalOf(FolderLock.take(folder, systemClock))).to.be.instanceOf(FolderInUseError);
    await (await FolderLock.take(folder, systemClock, 'the token')).release();
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('is not touched, nor removed, once it is another’s', async () => {
    const clock = new FakeClock();
    const lock = await FolderLock.take(folder, clock);
    const path = join(folder, '.lock');
    const touchedMs = async () => Math.round((await stat(path)).mtimeMs);
    await clock.pass(5_000);
    while ((await touchedMs()) !== clock.nowMs()) await settled();
    const foreign = JSON.stringify({ pid: 1, started: '', host: 'another-machine', token: 'y' });
    await writeFile(path, foreign);
    const before = await touchedMs();
    await clock.pass(5_000);
    await lock.release();
    expect(await touchedMs()).to.equal(before);
    expect(await readFile(path, 'utf8')).to.equal(foreign);
  });

  it('goes to one of many that find a dead owner’s at once', async () => {
    await writeFile(join(folder, '.lock'), JSON.stringify({ pid: 0x3fffffff, started: '1', host: 'x', token: 'y' }));
    const longAgo = new Date(Date.now() - 3_600_000);
    await utimes(join(folder, '.lock'), longAgo, longAgo);
    const takes = await Promise.allSettled(Array.from({ length: 20 }, () => FolderLock.take(folder, systemClock)));
    const locks = takes.flatMap((take) => (take.status === 'fulfilled' ? [take.value] : []));
    expect(locks).to.have.length(1);
    await locks[0]!.release();
    expect(await readdir(folder)).to.deep.equal([]);
  });

  it('of another machine counts while it is touched', async () => {
    const foreign = JSON.stringify({ pid: process.pid, started: '', host: 'another-machine', token: 'y' });
    await writeFile(join(folder, '.lock'), foreign);
    expect(await refusalOf(FolderLock.take(folder, systemClock)))
      .to.be.instanceOf(FolderInUseError)
      .with.property('message')
      .that.includes('on another-machine');
    expect(await readFile(join(folder, '.lock'), 'utf8')).to.equal(foreign);
  });

  it('that nobody can be read out of is nobody’s', async () => {
    await writeFile(join(folder, '.lock'), 'torn');
    await (await FolderLock.take(folder, systemClock)).release();
  });
});
