import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { pages, pageUrl } from '../../support/write-docs.ts';

describe('a page made from the source', () => {
  for (const [path, text] of Object.entries(pages)) {
    it(`${path} is as the source has it; npm run docs makes it so`, () => {
      expect(readFileSync(pageUrl(path), 'utf8')).to.equal(text());
    });
  }
});
