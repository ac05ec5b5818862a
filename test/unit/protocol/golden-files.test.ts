import { expect } from 'chai';
import { batchCases } from '../../support/protocol/batch-cases.ts';
import { type GoldenFile, goldenBatches, goldenMakers, goldenText } from '../../support/protocol/golden.ts';
import { kafkaOracle, type Oracle } from '../../support/protocol/oracle.ts';

describe('the files of golden bytes', () => {
  let oracle: Oracle;
  before(async function () {
    oracle = await kafkaOracle(this);
  });

  for (const file of ['frames', 'varints'] as const satisfies readonly GoldenFile[]) {
    it(`${file} are what Kafka writes; else \`npx tsx test/support/protocol/write-golden.ts\` and a look at the difference`, async () => {
      const made = (await goldenMakers[file](oracle)).split('\n');
      const kept = goldenText(file).split('\n');
      const different = made.filter((line, index) => line !== kept[index]);
      expect(different).to.deep.equal([]);
      expect(kept).to.have.length(made.length);
    });
  }

  it('batches are what Kafka writes, bytes aside that each Java’s own compression makes', async () => {
    const made = (await goldenMakers.batches(oracle)).split('\n').slice(0, -1);
    const kept = goldenBatches();
    expect(made.map((line) => line.split(' ')[0])).to.deep.equal([...kept.keys()]);
    for (const [index, line] of made.entries()) {
      const { name, codec } = batchCases[index]!;
      if (codec === undefined) expect(line).to.equal(`${name} ${kept.get(name)!.toString('hex')}`);
    }
  });
});
