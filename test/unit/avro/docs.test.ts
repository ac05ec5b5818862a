import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import { expect } from 'chai';
import { batchMax } from '../../../src/avro/database-messages.ts';
import { ownProtocol, protocolTextBytesMax } from '../../../src/avro/wire/protocol.ts';
import { keyBytesMax, scanLimitMax } from '../../../src/database/database.ts';
import { pageEntriesMax } from '../../../src/database/scan.ts';
import { errorTable } from '../../../src/kernel/errors.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const page = read('docs/AVRO.md');

/** A constant that a file of `src/avro` keeps to itself. */
function constant(file: string, name: string): number {
  const [, factors] = new RegExp(`^const ${name} = ([\\d_ *]+);$`, 'm').exec(read(`src/avro/${file}`)) ?? [];
  if (factors === undefined) throw new Error(`${file} has no ${name}`);
  return factors.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1);
}

/** The cells of a section's row behind its first one. */
function row(section: string, what: string): string[] {
  const [, text = ''] = page.split(`## ${section}\n`);
  const line = text
    .split('\n## ')[0]!
    .split('\n')
    .find((each) => each.startsWith(`| ${what} |`));
  if (line === undefined) throw new Error(`docs/AVRO.md has no row ${what}`);
  return line.split(' | ').slice(1);
}

/** The rows of the table below a line, by their first cells without backquotes. */
function firstCells(header: string): string[] {
  const [, table = ''] = page.split(`${header}\n`);
  const lines = table.slice(0, table.indexOf('\n\n')).split('\n').slice(1);
  return lines.map((line) => line.split('|')[1]!.trim().replaceAll('`', ''));
}

const number = (value: number): string => value.toLocaleString('en-US');

describe('docs/AVRO.md', () => {
  it('has every message of both protocols, with its parameters, and no other', () => {
    const tables = page.split('| message | parameters | answer |\n').slice(1);
    expect(tables).to.have.length(2);
    for (const [index, file] of (['database.avpr', 'rpc.avpr'] as const).entries()) {
      const { messages } = ownProtocol(file);
      const rows = tables[index]!.slice(0, tables[index]!.indexOf('\n\n')).split('\n').slice(1);
      const documented = rows.map((line) =>
        line
          .split('|')
          .slice(1, 3)
          .map((cell) => cell.trim().replaceAll('`', '')),
      );
      const served = [...messages.values()].map(({ name, requestType }) => [
        name,
        (requestType as unknown as { fields: { name: string }[] }).fields.map((field) => field.name).join(', '),
      ]);
      expect(documented).to.deep.equal(served);
    }
  });

  it('says what every parameter of the database’s messages is', () => {
    const { messages } = ownProtocol('database.avpr');
    const names = [...messages.values()].flatMap(({ requestType }) =>
      (requestType as unknown as { fields: { name: string }[] }).fields.map((field) => field.name),
    );
    const documented = firstCells('| parameter | meaning |').flatMap((cell) => cell.split(', '));
    expect(documented).to.have.members([...new Set(names)]);
  });

  it('has the limits that hold', () => {
    const limit = (what: string) => row('Limits', what)[0];
    const flowing = page.replaceAll('\n', ' ');
    const server = (name: string) => constant('avro-server.ts', name);
    const mebibytes = (bytes: number) => `${bytes / 1024 / 1024} MiB`;
    const seconds = (ms: number) => `${ms / 1000} s`;
    expect(limit('message')).to.equal(
      `${mebibytes(server('batchBytes'))}, or \`VALUE_BYTES_MAX\` + ${server('aroundValueBytes') / 1024} KiB where that is more`,
    );
    expect(limit('values within values in one message')).to.equal(
      `${number(constant('wire/bounds.ts', 'valuesMax'))}, nested ${constant('wire/bounds.ts', 'depthMax')} deep`,
    );
    expect(limit('keys or writes of a call')).to.equal(number(batchMax));
    expect(limit('entries of a page of a scan')).to.match(new RegExp(`^${number(pageEntriesMax)}, and 256 KiB of`));
    expect(page).to.include(`entries, 1 to ${number(scanLimitMax)};`);
    expect(limit('calls of a connection under way')).to.include(number(server('callsMax')));
    expect(limit('answers that a client has not taken')).to.equal(mebibytes(server('answerBytesMax')));
    expect(limit('partly arrived messages of all connections')).to.equal(mebibytes(server('heldBytesMax')));
    const [parts, named, depth, characters] = ['nodesMax', 'namedTypesMax', 'depthMax', 'nameCharactersMax'].map(
      (name) => constant('wire/protocol.ts', name),
    );
    expect(limit("text of a client's protocol")).to.equal(
      `${number(protocolTextBytesMax)} bytes, with ${number(parts!)} parts and ${named} named types and messages, nested ${depth} deep, and names of ${characters} characters`,
    );
    expect(limit('time from the connection to the handshake')).to.equal(seconds(server('handshakeTimeoutMs')));
    expect(limit('time for a message to arrive')).to.equal(seconds(server('messageTimeoutMs')));
    expect(limit('time for a client to take some of its answers')).to.equal(seconds(server('messageTimeoutMs')));
    expect(limit('idle connection')).to.equal(`${server('idleTimeoutMs') / 60_000} min`);
    expect(flowing).to.include(`any that is left after ${seconds(server('drainWithinMs'))}`);
    expect(flowing).to.include(`remembers ${constant('handshakes.ts', 'rememberedMax')} protocols`);
    expect(page).to.include(`bytes, 1 to ${number(keyBytesMax)}`);
    expect(page).to.include(`at most ${number(constant('database-messages.ts', 'positionsMax'))}.`);
    expect(page).to.include(`or 1 to ${number(constant('database-messages.ts', 'ttlMsMax'))}:`);
  });

  it('has the bytes of a call and of its answer as Avro writes them', () => {
    const [, request, answer] = /```\n(0{7}3 [\da-f ]+)\n(0{7}3 [\da-f ]+)\n```/.exec(page)!;
    const text = avsc.Type.forSchema('string');
    const { responseType } = ownProtocol('rpc.avpr').messages.get('getValue')!;
    const framed = (...parts: Uint8Array[]): string => {
      const body = Buffer.concat(parts);
      const head = Buffer.alloc(12);
      for (const [index, word] of [3, 1, body.length].entries()) head.writeInt32BE(word, 4 * index);
      return Buffer.concat([head, body]).toString('hex');
    };
    expect(request!.replaceAll(' ', '')).to.equal(framed(Buffer.of(0), text.toBuffer('getValue'), text.toBuffer('a')));
    expect(answer!.replaceAll(' ', '')).to.equal(framed(Buffer.of(0, 0), responseType.toBuffer('b')));
  });

  it('has every metric of the socket and every reason for a connection’s end', () => {
    const source = read('src/avro/metrics.ts');
    const named = [...source.matchAll(/name: '(bitacora_\w+)'/g)].map(([, name]) => name);
    expect(firstCells('| metric | counts |')).to.have.members(named);
    const [, reasons = ''] = /type CloseReason =\n(.*?);/s.exec(source)!;
    const all = [...reasons.matchAll(/'(\w+)'/g)].map(([, reason]) => reason);
    const documented = row('Metrics', '`bitacora_avro_connections_closed_total`')[0]!;
    expect([...documented.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name)).to.have.members(['reason', ...all]);
  });

  it('names no error code that the table does not have', () => {
    const named = [...page.matchAll(/`([a-z]+_[a-z_]+)`/g)].map(([, name]) => name!);
    const reasons = /type CloseReason =\n(.*?);/s.exec(read('src/avro/metrics.ts'))![1]!;
    const codes = named.filter((name) => !name.startsWith('bitacora_') && !reasons.includes(`'${name}'`));
    expect(codes.length).to.be.greaterThan(8);
    for (const code of codes) expect(errorTable).to.have.property(code);
  });

  it('links to headings and files that there are', () => {
    const anchors = (text: string) =>
      [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!.toLowerCase().replaceAll(' ', '-'));
    for (const [, file, anchor] of page.matchAll(/\]\((?!https:)([^#)]*)#?([^)]*)\)/g)) {
      const text = file === '' ? page : read(`docs/${file}`);
      if (anchor !== '') expect(anchors(text), `${file}#${anchor}`).to.include(anchor);
    }
  });
});
