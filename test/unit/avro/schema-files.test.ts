import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { protocolText } from '../../support/avro-schemas.ts';

const folder = fileURLToPath(new URL('../../../schemas/', import.meta.url));

describe('the files of protocols', () => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.avdl'))) {
    const made = file.replace(/avdl$/, 'avpr');

    it(`${made} is what ${file} says; else \`npm run schemas\``, async () => {
      expect(readFileSync(`${folder}${made}`, 'utf8')).to.equal(await protocolText(`${folder}${file}`));
    });
  }

  it('rpc.avpr has what clients of the original were built for', () => {
    const { namespace, protocol, messages } = JSON.parse(readFileSync(`${folder}rpc.avpr`, 'utf8'));
    expect(`${namespace}.${protocol}`).to.equal('com.grayscaleconsulting.bitacora.rpc.avro.RPCHandlerAvro');
    const [key, value] = ['key', 'value'].map((name) => ({ name, type: 'string' }));
    const parts = Object.entries(messages as Record<string, { request: unknown; response: unknown }>).map(
      ([name, { request, response }]) => ({ name, request, response }),
    );
    expect(parts).to.deep.equal([
      { name: 'getValue', request: [key], response: ['null', 'string'] },
      { name: 'setValue', request: [key, value], response: 'null' },
      { name: 'delete', request: [key], response: 'null' },
    ]);
  });
});
