import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again and again until the answer is one; the test's own time-out is the bound. */
export async function until<T>(question: () => T | undefined | Promise<T | undefined>): Promise<T> {
  while (true) {
    const answer = await question();
    if (answer !== undefined && answer !== false) return answer;
    await sleep(50);
  }
}
