import { join } from 'node:path';
import { keptFolder } from '../conformance/kept.ts';
import { run, runWell } from '../conformance/program.ts';
import { Unavailable } from '../kafka/unavailable.ts';

const oldestPython = [3, 9] as const;
const installTimeoutMs = 120_000;

/** A Python with a version of Avro's package, installed on first use; `Unavailable` where there can be none. */
export async function pythonWithAvro(avroVersion: string): Promise<string> {
  const version = await run('python3', ['-c', 'import platform; print(platform.python_version())']).catch(
    () => undefined,
  );
  const [major = 0, minor = 0] = version?.stdout.split('.').map(Number) ?? [];
  if (major < oldestPython[0] || (major === oldestPython[0] && minor < oldestPython[1])) {
    throw new Unavailable(`there is no Python ${oldestPython.join('.')} or later`);
  }
  // What is installed for one minor version is not found by another.
  const folder = await keptFolder(`python-${major}.${minor}-avro-${avroVersion}`, async (unfinished) => {
    try {
      await runWell('python3', ['-m', 'venv', unfinished], { timeoutMs: installTimeoutMs });
      const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `avro==${avroVersion}`];
      await runWell(join(unfinished, 'bin', 'python'), install, { timeoutMs: installTimeoutMs });
    } catch (error) {
      throw new Unavailable(`avro ${avroVersion} cannot be installed for Python: ${(error as Error).message}`);
    }
  });
  return join(folder, 'bin', 'python');
}
