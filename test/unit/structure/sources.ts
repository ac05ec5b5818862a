import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

export interface SourceFile {
  /** From the top of the repository, with forward slashes: `src/store/store.ts`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

export interface Import {
  /** As it is written. */
  readonly specifier: string;
  /** Nothing of it is left when the program runs. */
  readonly typeOnly: boolean;
  /** What a relative specifier names, from the top of the repository; undefined for packages. */
  readonly target: string | undefined;
}

/** Every TypeScript file under a folder of the repository. */
export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return { path, text, imports: importsOf(path, text) };
    });
}

export function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}

/** Imports, re-exports and dynamic imports of a file that Biome has formatted: each statement begins its line. */
export function importsOf(path: string, text: string): Import[] {
  const code = withoutComments(text);
  const statements =
    /^(?:import|export)\s+(?<type>type\s)?(?:[\w$*{][^'"`;]*?\sfrom\s+)?(?<quote>['"])(?<name>[^'"]+)\k<quote>/gm;
  const calls = /\b(?:import|require)\(\s*(?<quote>['"])(?<name>[^'"]+)\k<quote>/g;
  return [...code.matchAll(statements), ...code.matchAll(calls)].map(({ groups }) => {
    const { name: specifier = '', type } = groups ?? {};
    return {
      specifier,
      typeOnly: type !== undefined,
      target: specifier.startsWith('.') ? posix.normalize(posix.join(dirname(path), specifier)) : undefined,
    };
  });
}

/** Drops comments that begin a line, which is where every comment that mentions an import stands. */
export function withoutComments(text: string): string {
  return text.replace(/^[ \t]*\/\*[\s\S]*?\*\//gm, '').replace(/^[ \t]*\/\/.*$/gm, '');
}
