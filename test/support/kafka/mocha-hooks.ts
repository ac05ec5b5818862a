import { tearDown } from './kafka.ts';

export async function mochaGlobalTeardown(): Promise<void> {
  await tearDown();
}
