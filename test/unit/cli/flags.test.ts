import { expect } from 'chai';
import { flagName, parseFlags, UsageError } from '../../../src/cli/flags.ts';
import { nameValue, startOffset } from '../../../src/cli/value-types.ts';
import { integer } from '../../../src/config/option-types.ts';

const flags = {
  partitions: { type: integer(1, 9), placeholder: 'N', help: 'Partitions.', short: 'p' },
  offset: { type: startOffset, placeholder: 'N', help: 'Offset.', short: 'o' },
  config: { type: nameValue, placeholder: 'NAME=VALUE', help: 'Config.', many: true },
  nullValue: { type: integer(0, 9), placeholder: 'N', help: 'Null.', default: '7' },
  dryRun: { help: 'Nothing is done.', short: 'd' },
} as const;

function complaintOf(argv: readonly string[]): string {
  try {
    parseFlags(flags, argv);
  } catch (error) {
    expect(error).to.be.instanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

describe('flags of a command', () => {
  it('have the name of their property in kebab case', () => {
    expect(flagName('replicationFactor')).to.equal('replication-factor');
    expect(flagName('to')).to.equal('to');
  });

  it('are undefined, false, empty or their default where nothing is given', () => {
    expect(parseFlags(flags, []).values).to.deep.equal({
      partitions: undefined,
      offset: undefined,
      config: [],
      nullValue: 7,
      dryRun: false,
    });
  });

  it('are taken in every form, among positionals', () => {
    const { values, positionals } = parseFlags(flags, [
      ...['a', '--config', 'x=1', '-p', '3', 'b', '--config=y=a=b', '-d', '--null-value=0', '--', '--c'],
    ]);
    expect(positionals).to.deep.equal(['a', 'b', '--c']);
    expect(values).to.deep.include({ partitions: 3, nullValue: 0, dryRun: true });
    expect(values.config).to.deep.equal([
      ['x', '1'],
      ['y', 'a=b'],
    ]);
  });

  for (const argv of [['--offset', '-10'], ['--offset=-10'], ['-o', '-10'], ['-o-10']]) {
    it(`take a negative number as ${argv.join(' ')}`, () => {
      expect(parseFlags(flags, argv).values.offset).to.equal(-10);
    });
  }

  it('leave a negative number after a switch to those who know what it is', () => {
    expect(() => parseFlags(flags, ['--dry-run', '-10'])).to.throw(UsageError);
  });

  it('tell which of them were given, in their own words', () => {
    expect([...parseFlags(flags, ['-p', '3', '-d']).given]).to.deep.equal([['partitions', '3']]);
  });

  const mistakes: ReadonlyArray<[argv: readonly string[], complaint: RegExp]> = [
    [['--partitions', '10'], /^--partitions is "10": expected integer 1\.\.9$/],
    [['--partitions='], /^--partitions is "": expected integer/],
    [['--partitions', '1', '-p', '2'], /^--partitions is given 2 times$/],
    [['--config', 'x'], /^--config is "x": expected name=value$/],
    [['--partitons', '1'], /--partitons/],
    [['-x'], /-x/],
    [['--partitions'], /--partitions/],
    [['--partitions', '--dry-run'], /--partitions/],
    [['--dry-run=yes'], /--dry-run/],
    [['--no-dry-run'], /--no-dry-run/],
    [['--offset', 'x'.repeat(1000)], /^--offset is "x{80}…": expected/],
  ];
  for (const [argv, complaint] of mistakes) {
    it(`refuse ${argv.join(' ').slice(0, 40)} with one line`, () => {
      expect(complaintOf(argv)).to.match(complaint).and.not.include('\n');
    });
  }
});
