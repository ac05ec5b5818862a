import { join } from 'node:path';
import { Unavailable } from '../kafka/unavailable.ts';
import { keptFolder } from './kept.ts';
import { run, runWell } from './program.ts';

const version = 'v1.22.2';
const kgo = 'github.com/twmb/franz-go/pkg/kgo';
/** Compiling on a slow machine, and downloading before. */
const buildTimeoutMs = 240_000;

export type Verdict = 'PASS' | 'FAIL' | 'SKIP';

export interface KgoResults {
  /** By the test's name, its parents included: `TestGroupETL/range`. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly output: string;
}

/** The test-suite of franz-go's client, compiled on first use; `Unavailable` where there is no Go, or nothing to get it from. */
export async function kgoTestProgram(): Promise<string> {
  const folder = await keptFolder(`kgo-${version}`, async (unfinished) => {
    await runWell('go', ['version']).catch(() => {
      throw new Unavailable('there is no Go');
    });
    const go = (...args: string[]) => runWell('go', args, { cwd: unfinished, timeoutMs: buildTimeoutMs });
    await go('mod', 'init', 'kgo-for-tests');
    await go('get', '-t', `${kgo}@${version}`).catch((error: Error) => {
      throw new Unavailable(`franz-go cannot be downloaded: ${error.message}`);
    });
    await go('test', '-c', '-o', 'kgo.test', kgo);
  });
  return join(folder, 'kgo.test');
}

/** Runs the tests of that name, with theirs below, against a cluster of one broker. */
export async function runKgoTest(
  program: string,
  brokerList: string,
  test: string,
  { records, timeoutMs }: { records: number; timeoutMs: number },
): Promise<KgoResults> {
  const env = { KGO_SEEDS: brokerList, KGO_TEST_RF: '1', KGO_TEST_RECORDS: String(records) };
  const { stdout, stderr } = await run(program, ['-test.v', `-test.run=^${test}$`], { env, timeoutMs });
  const verdicts = new Map<string, Verdict>();
  for (const [, verdict, name] of stdout.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+) /gm)) {
    verdicts.set(name!, verdict as Verdict);
  }
  return { verdicts, output: stdout + stderr };
}
