import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { append, compacted, LogRig, recordsOf } from './log-rig.ts';

const program = fileURLToPath(new URL('append-process.ts', import.meta.url));

interface Line {
  readonly flushed?: number;
  readonly failure?: string;
  readonly isUnchanged?: boolean;
  readonly small?: number;
}

/** What the process had printed in whole lines. */
const linesOf = (output: string): Line[] =>
  output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

describe('partition log of a process that ends badly', () => {
  const rig = new LogRig();
  afterEach(() => rig.clean());

  /** Runs the process until it has printed so much, and kills it then: in a write, between two, at a roll. */
  async function appendUntilKilled(folder: string, args: readonly string[], printedBytes: number): Promise<number> {
    const child = spawn(process.execPath, ['--import', 'tsx', program, folder, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = text(child.stdout);
    let seen = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.length;
      if (seen > printedBytes) child.kill('SIGKILL');
    });
    await once(child, 'exit');
    const lines = linesOf(await output);
    expect(lines.every((line) => line.flushed !== undefined)).to.equal(true);
    return lines.at(-1)!.flushed!;
  }

  it('has everything that was flushed, kill after kill', async function () {
    this.timeout(120_000);
    const folder = await rig.folder();
    let flushed = -1;
    for (let round = 0; round < 3; round += 1) {
      flushed = await appendUntilKilled(folder, ['200', '5000'], 500 * (round + 1));
      const log = await rig.open(folder, { segmentBytes: 5_000 });
      expect(log.endOffset).to.be.above(flushed);
      const records = await recordsOf(log);
      expect(records.map(({ value }) => value!.replaceAll('.', ''))).to.deep.equal(
        Array.from({ length: log.endOffset }, (_, offset) => String(offset)),
      );
      await log.close();
    }
    expect(flushed).to.be.above(30);
  });

  it('has the last record of each key, killed during compaction', async function () {
    this.timeout(120_000);
    const folder = await rig.folder();
    for (let round = 0; round < 3; round += 1) {
      const flushed = await appendUntilKilled(folder, ['200', '5000', 'compact'], 4_000 + 777 * round);
      const log = await rig.open(folder, { ...compacted, segmentBytes: 5_000 });
      expect(log.endOffset).to.be.above(flushed);
      const last = new Map((await recordsOf(log)).map(({ key, offset, value }) => [key, { offset, value }]));
      for (let offset = Math.max(0, log.endOffset - 100); offset < log.endOffset; offset += 1) {
        const found = last.get(`key${offset % 100}`);
        expect(found).to.deep.equal({ offset, value: String(offset).padEnd(200, '.') });
      }
      await log.close();
    }
  });

  it('refuses what does not fit on the disk, leaves nothing of it, and goes on', async function () {
    this.timeout(60_000);
    const folder = await rig.folder();
    // The shell's limit on the size of files stands in for a full disk: the write in question ends half-way, the next one fails.
    const command = 'ulimit -f 1024; exec "$0" "$@"';
    const args = ['-c', command, process.execPath, '--import', 'tsx', program, folder, '100000', '10000000'];
    const child = spawn('bash', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    const lines = linesOf(output);
    const [failed, small] = lines.slice(-2) as [Line, Line];
    expect(failed).to.deep.equal({ failure: 'KAFKA_STORAGE_ERROR', isUnchanged: true });
    expect(small.small).to.equal(lines.length - 2);
    const { size } = await stat(join(folder, '00000000000000000000.log'));
    const log = await rig.open(folder, { segmentBytes: 10_000_000 });
    expect(log.sizeBytes).to.equal(size);
    expect(log.endOffset).to.equal(small.small! + 1);
    expect((await recordsOf(log)).at(-1)?.value).to.equal('small');
    expect(append(log, ['k:v']).baseOffset).to.equal(small.small! + 1);
  });
});
