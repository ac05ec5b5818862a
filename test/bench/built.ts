/**
 * The program as it is shipped, from dist/. The sources run under tsx too, but tsx makes each closure define its own name
 * when it is made, which the shipped program does not.
 */
export function built<Module>(path: `${string}.js`): Promise<Module> {
  return import(new URL(`../../dist/${path}`, import.meta.url).href) as Promise<Module>;
}
