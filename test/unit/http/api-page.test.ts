import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { keyBytesMax, scanLimitMax } from '../../../src/database/database.ts';
import { openApi } from '../../../src/http/openapi.ts';
import { positionHeaderMax } from '../../../src/http/session-position.ts';
import { errorTable } from '../../../src/kernel/errors.ts';
import { sourceFiles } from '../structure/sources.ts';

const page = readFileSync(new URL('../../../docs/API.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `(\w+)` \| (\d{3}) \| ([^|]+) \| ([^|]+) \|$/gm)].map(
  ([, code, status, title, advice]) => ({ code: code!, status: Number(status), title, advice: advice! }),
);

describe('docs/API.md', () => {
  it('has every error of the table and no other, in its order, with its status and title', () => {
    const table = Object.entries(errorTable).map(([code, { status, title }]) => ({ code, status, title }));
    expect(rows.map(({ code, status, title }) => ({ code, status, title }))).to.deep.equal(table);
  });

  it('says of every error what to do', () => {
    for (const { code, advice } of rows) expect(advice, code).to.match(/^[A-Z].{9,}\.$/);
  });

  it('names no error that the table does not have', () => {
    const named = [...page.matchAll(/`(?:\d{3} )([a-z_]+)`/g)].map(([, code]) => code!);
    expect(named.length).to.be.greaterThan(5);
    for (const code of named) expect(errorTable).to.have.property(code);
  });

  it('has every path, parameter and header that the API describes', () => {
    const { paths } = openApi('0', 1) as { paths: Record<string, Record<string, { parameters?: { name: string }[] }>> };
    for (const [path, item] of Object.entries(paths)) {
      expect(page).to.match(new RegExp(`[\` ]${path.replace('.', '\\.')}[?\`]`));
      for (const { parameters = [] } of Object.values(item)) {
        for (const { name } of parameters) expect(page, name).to.match(new RegExp(`\\b${name}\\b`));
      }
    }
    const headers = [
      'Partition',
      'Offset',
      'Timestamp',
      'Source',
      'Position',
      'Expires-At',
      'Content-Type',
      'Caught-Up',
      'Topic',
    ];
    for (const name of headers) expect(page).to.include(`\`Bitacora-${name}\``);
  });

  it('has the limits that hold', () => {
    expect(page).to.include(`${keyBytesMax.toLocaleString('en-US')} bytes`);
    expect(page).to.include(`entries of the answer, 1 to ${scanLimitMax.toLocaleString('en-US')};`);
    expect(page).to.include(`of more than ${positionHeaderMax.toLocaleString('en-US')} characters`);
    const source = readFileSync(new URL('../../../src/http/http-server.ts', import.meta.url), 'utf8');
    const seconds = (name: string): string => {
      const [, ms] = new RegExp(`const ${name} = ([\\d_]+);`).exec(source) ?? [];
      return `${Number(ms?.replaceAll('_', '')) / 1000} s`;
    };
    expect(page).to.include(`headers to arrive | ${seconds('headersTimeoutMs')} |`);
    expect(page).to.include(`whole request to arrive | ${seconds('requestTimeoutMs')} |`);
    expect(page).to.include(`idle connection | ${seconds('keepAliveTimeoutMs')} |`);
    const targetBytesMax = keyBytesMax * 3 + 16 * 1024;
    expect(page).to.include(`request target | ${targetBytesMax.toLocaleString('en-US')} bytes`);
    expect(page).to.include(`headers together | ${(targetBytesMax + 16 * 1024).toLocaleString('en-US')} bytes`);
  });

  it('names no metric and no option that does not exist', () => {
    const sources = sourceFiles('src')
      .map(({ path }) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8'))
      .join();
    const metrics = [...page.matchAll(/`(bitacora_\w+)`/g)].map(([, name]) => name!);
    expect(metrics.length).to.be.greaterThan(5);
    for (const name of metrics) expect(sources).to.include(`'${name}'`);
    const variables = [...page.matchAll(/`([A-Z]+(?:_[A-Z]+)+)(?:=\w+)?`/g)].map(([, name]) => name!);
    expect(variables.length).to.be.greaterThan(3);
    for (const name of variables) expect(sources).to.include(`'${name}'`);
  });

  it('links to headings that it has', () => {
    const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, text]) => text!.toLowerCase().replaceAll(' ', '-'));
    const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!);
    expect(links.length).to.be.greaterThan(0);
    for (const link of links) expect(headings).to.include(link);
  });
});
