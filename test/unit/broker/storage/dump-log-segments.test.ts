import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type KafkaTools, kafkaTools } from '../../../support/kafka/tools.ts';
import { gzipped } from './compressed.ts';
import { batchOf, compacted, LogRig } from './log-rig.ts';

const marker = { producerEpoch: 0, coordinatorEpoch: 3, leaderEpoch: 5 };

describe("files of a partition, read by Kafka's DumpLogSegments", () => {
  const rig = new LogRig();
  let tools: KafkaTools;

  before(async function () {
    tools = await kafkaTools(this);
  });
  afterEach(() => rig.clean());

  /** What the tool prints of each file that it knows, by suffix. */
  async function dump(folder: string): Promise<Map<string, string>> {
    const printed = new Map<string, string>();
    const names = (await readdir(folder)).sort();
    for (const suffix of ['.log', '.index', '.timeindex', '.txnindex', '.snapshot']) {
      const files = names.filter((name) => name.endsWith(suffix)).map((name) => join(folder, name));
      if (files.length === 0) continue;
      const { stdout, stderr } = await tools.run('kafka.tools.DumpLogSegments', [
        ...['--files', files.join(',')],
        ...(suffix === '.log' ? ['--deep-iteration', '--print-data-log'] : []),
      ]);
      // Its complaints go to the standard error output.
      printed.set(suffix, `${stdout}${stderr}`);
    }
    return printed;
  }

  /** Complaints of the tool, which it prints rather than fail. */
  const complaints = (text: string): string[] =>
    text
      .split('\n')
      .filter((line) =>
        /mismatch|not found|out of order|non-(con)?secutive|corrupt|exception|invalid|isvalid: false/i.test(line),
      );

  it('are clean, with all their parts, before compaction and after it', async function () {
    this.timeout(120_000);
    const folder = await rig.folder();
    const config = { ...compacted, segmentBytes: 4_000, segmentMs: 1_000, deleteRetentionMs: 60_000 };
    let log = await rig.open(folder, config);
    for (let round = 0; round < 30; round += 1) {
      await rig.clock.pass(10);
      const timestampMs = rig.clock.nowMs();
      const texts = Array.from({ length: 5 }, (_, index) => `key${(round * 3 + index) % 17}:value ${round}`);
      const batch = batchOf(texts, { timestampMs, producerId: 1, producerEpoch: 0, baseSequence: round * 5 });
      log.append(round % 3 === 0 ? gzipped(batch) : batch, { leaderEpoch: 5, origin: 'client' });
      log.append(batchOf([`key${round % 5}:`], { timestampMs }), { leaderEpoch: 5, origin: 'client' });
      for (const producerId of [2, 3]) {
        const transaction = { producerId, producerEpoch: 0, baseSequence: round, isTransactional: true, timestampMs };
        log.append(batchOf([`key${20 + (round % 7)}:of ${producerId}`], transaction), {
          leaderEpoch: 5,
          origin: 'client',
        });
        log.appendMarker({ ...marker, producerId, commit: producerId === 2 });
      }
    }
    await log.close();
    const before = await dump(folder);
    expect([...before.values()].flatMap(complaints)).to.deep.equal([]);
    expect(before.get('.log'))
      .to.match(/payload: value 29/)
      .and.match(/endTxnMarker: ABORT coordinatorEpoch: 3/);
    expect(before.get('.txnindex')?.match(/producerId: 3/g)).to.have.length(30);
    expect(before.get('.snapshot'))
      .to.match(/producerId: 1 producerEpoch: 0/)
      .and.match(/lastSequence=149|lastSequence: 149/);

    log = await rig.open(folder, config);
    await rig.clock.pass(2_000);
    const { bytesBefore, bytesAfter } = await log.compact(rig.clock.nowMs());
    expect(bytesAfter).to.be.below(bytesBefore / 2);
    await log.close();
    const after = await dump(folder);
    // Gaps are what compaction is for.
    const others = [...after.values()]
      .flatMap(complaints)
      .filter((line) => !line.startsWith('Non-consecutive offsets'));
    expect(others).to.deep.equal([]);
    expect(after.get('.log')).to.match(/deleteHorizonMs: OptionalLong\[\d+\]/);
    expect(after.get('.log')).to.not.match(/payload: of 3/);

    // The tool would have said so.
    const index = (await readdir(folder)).filter((name) => name.endsWith('.timeindex')).sort()[0]!;
    const bytes = await readFile(join(folder, index));
    bytes[7]! ^= 1;
    await writeFile(join(folder, index), bytes);
    expect(complaints((await dump(folder)).get('.timeindex')!).join()).to.match(/mismatch/);
  });
});
