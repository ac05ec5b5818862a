import { readFileSync } from 'node:fs';

const page = new URL('../../../docs/AVRO.md', import.meta.url);
/** The Avro socket of a node whose ports nobody has named. */
const documentedPort = '8182';

export interface DocsExample {
  /** The example as it stands there, for a node at another port. */
  readonly source: string;
  /** What the page says that it prints. */
  readonly output: string;
}

/** The one example in docs/AVRO.md in a language, and the output that stands below it. */
export function docsExample(language: 'ts' | 'java' | 'python', avroPort: number): DocsExample {
  const text = readFileSync(page, 'utf8');
  const block = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\`\\n\\nIt prints:\\n\\n\`\`\`text\\n(.*?)\`\`\``, 's');
  const [, source, output] = block.exec(text)!;
  if (!source!.includes(documentedPort)) throw new Error(`the example in ${language} names no port ${documentedPort}`);
  return { source: source!.replaceAll(documentedPort, String(avroPort)), output: output! };
}

/** The version of a package that the page tells to install, as `<prefix><version>`. */
export function documentedVersion(prefix: string): string {
  const text = readFileSync(page, 'utf8');
  const at = text.indexOf(prefix);
  return /^[\d.]*\d/.exec(text.slice(at + prefix.length))![0];
}
