import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { FailingDisk } from '../../support/failing-disk.ts';
import { SnapshotRig } from '../../support/snapshot-rig.ts';

const program = fileURLToPath(new URL('write-process.ts', import.meta.url));

describe('writer of snapshots', () => {
  let rig: SnapshotRig;

  beforeEach(async () => {
    rig = new SnapshotRig();
    await rig.open();
  });

  afterEach(() => rig.close());

  async function callsOfAll(writtenPart: number): Promise<string[]> {
    const disk = new FailingDisk({ failsAt: -1, writtenPart });
    await rig.write('all', { disk });
    return disk.calls;
  }

  for (const writtenPart of [1, 0.4]) {
    const writes = writtenPart === 1 ? 'whole writes' : 'writes of a part';

    it(`leaves the old snapshot or the new one, whichever call the machine stops at (${writes})`, async function () {
      this.timeout(120_000);
      const calls = await callsOfAll(writtenPart);
      expect(calls.length).to.be.above(10);
      for (let failsAt = 0; failsAt < calls.length; failsAt += 1) {
        await rig.write('old');
        const disk = new FailingDisk({ failsAt, writtenPart });
        const failed = await rig.write('new', { disk }).then(
          () => false,
          () => true,
        );
        expect(failed).to.equal(true);
        await disk.losePower();
        const isInPlace = disk.calls.slice(0, -1).includes('rename');
        expect(await rig.restoredMark(), `${failsAt}: ${calls[failsAt]}`).to.equal(isInPlace ? 'new' : 'old');
        // What is left is cleared away by the next start, and is in nobody's way.
        await rig.empty().file.removeUnfinished();
        expect(await rig.names()).to.deep.equal(['x.snapshot']);
        await rig.write('next');
        expect(await rig.restoredMark()).to.equal('next');
      }
    });

    it(`says so when a call fails, removes what it wrote, and leaves the old snapshot (${writes})`, async function () {
      this.timeout(120_000);
      const calls = await callsOfAll(writtenPart);
      const error = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      await rig.write('old');
      for (let failsAt = 0; failsAt <= calls.indexOf('rename'); failsAt += 1) {
        const disk = new FailingDisk({ failsAt, error, writtenPart });
        const failure = await rig.write('new', { disk }).catch((reason: unknown) => reason);
        expect(failure).to.equal(error);
        expect(await rig.names()).to.deep.equal(['x.snapshot']);
        expect(await rig.restoredMark()).to.equal('old');
      }
    });
  }

  it('gives up when it is told to, and leaves the old snapshot', async () => {
    await rig.write('old');
    for (const signal of [AbortSignal.abort(), abortedSoon()]) {
      const failure = await rig.write('new', { signal }).catch((reason: unknown) => reason);
      expect(failure).to.have.property('name', 'AbortError');
      expect(await rig.names()).to.deep.equal(['x.snapshot']);
      expect(await rig.restoredMark()).to.equal('old');
    }
  });

  it('leaves a sound snapshot, no older than it said, when it is killed', async function () {
    this.timeout(180_000);
    for (let round = 0; round < 5; round += 1) {
      const child = spawn(process.execPath, ['--import', 'tsx', program, rig.path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const output = text(child.stdout);
      // In another place each time: from the print of a mark to the rename of the next.
      child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), 7 * round));
      await once(child, 'exit');
      const said = Number((await output).trim().split('\n').at(-1));
      expect(Number(await rig.restoredMark())).to.be.within(said, said + 1);
    }
  });

  it('leaves the old snapshot when the disk is full', async function () {
    this.timeout(60_000);
    await rig.write('old');
    // The shell's limit on the size of files stands in for a full disk.
    const args = ['-c', 'ulimit -f 1; exec "$0" "$@"', process.execPath, '--import', 'tsx', program, rig.path];
    const child = spawn('bash', args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      // What tsx keeps of a file it has seen is a file, too.
      env: { ...process.env, TSX_DISABLE_CACHE: '1' },
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    expect(output.trim()).to.equal('EFBIG');
    expect(await rig.names()).to.deep.equal(['x.snapshot']);
    expect(await rig.restoredMark()).to.equal('old');
  });
});

function abortedSoon(): AbortSignal {
  const controller = new AbortController();
  setImmediate(() => controller.abort());
  return controller.signal;
}
