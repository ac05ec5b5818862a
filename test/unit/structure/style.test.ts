import { expect } from 'chai';
import { type SourceFile, sourceFiles, withoutComments } from './sources.ts';

const linesMax = 600;
/** Put together, so that this file does not find itself. */
const reminders = new RegExp(`\\b(${['TO', 'FIX'].map((start, i) => start + ['DO', 'ME'][i]).join('|')})\\b`);

const src = sourceFiles('src');
const everything = [...src, ...sourceFiles('test')];

describe('style', () => {
  it(`has no file in src that has more than ${linesMax} lines: it would be two ideas`, () => {
    const long = src.filter(({ text }) => text.split('\n').length - 1 > linesMax);
    expect(namesOf(long)).to.deep.equal([]);
  });

  it('has no enum: a union, or an object as const, says the same and leaves no code behind', () => {
    expect(findIn(everything, /^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s+\w/m)).to.deep.equal([]);
  });

  it('has no default export: a thing has one name everywhere', () => {
    expect(findIn(everything, /^export\s+default\b|\bas\s+default\b|^export\s*=/m)).to.deep.equal([]);
  });

  it('leaves no reminders behind: what is to be done stands in the tracker', () => {
    const found = everything.filter(({ text }) => reminders.test(text));
    expect(namesOf(found)).to.deep.equal([]);
  });

  it('opens no port in a test that it did not ask the system for', () => {
    const unit = everything.filter(({ path }) => path.startsWith('test/unit/'));
    expect(findIn(unit, /\.listen\(\s*[1-9]|\.listen\(\{[^}]*\bport:\s*[1-9]/m)).to.deep.equal([]);
  });

  it('finds what it looks for', () => {
    const planted = (text: string): SourceFile[] => [{ path: 'planted', text, imports: [] }];
    expect(reminders.test(`// ${'TO'}${'DO'}: later`)).to.equal(true);
    expect(findIn(planted('a = 1;\nexport const enum A {'), /^\s*(export\s+)?(const\s+)?enum\s+\w/m)).to.have.length(1);
    expect(findIn(planted('/* enum A */\n// enum B'), /enum\s+\w/)).to.have.length(0);
  });
});

function findIn(files: readonly SourceFile[], pattern: RegExp): string[] {
  return namesOf(files.filter(({ text }) => pattern.test(withoutComments(text))));
}

function namesOf(files: readonly SourceFile[]): string[] {
  return files.map(({ path }) => path);
}
