import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { protocolText } from './avro-schemas.ts';

/** Writes the `.avpr` files under `schemas/` from the `.avdl` files beside them. */
const folder = fileURLToPath(new URL('../../schemas/', import.meta.url));
for (const file of readdirSync(folder).filter((name) => name.endsWith('.avdl'))) {
  writeFileSync(`${folder}${file.replace(/avdl$/, 'avpr')}`, await protocolText(`${folder}${file}`));
}
