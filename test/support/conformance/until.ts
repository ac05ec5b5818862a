import { setTimeout as sleep } from 'node:timers/promises';

const pauseMs = 50;

/** Asks again and again until there is an answer. Gives up before the test does, so that nothing of it lives on. */
export async function until<T>(
  question: () => T | undefined | Promise<T | undefined>,
  { timeoutMs = 40_000 }: { timeoutMs?: number } = {},
): Promise<T> {
  for (const startedAt = performance.now(); performance.now() - startedAt < timeoutMs; await sleep(pauseMs)) {
    const answer = await question();
    if (answer !== undefined && answer !== false) return answer;
  }
  throw new Error(`not so within ${timeoutMs} ms: ${question}`);
}
