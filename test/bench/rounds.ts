import type { Aim, Measure } from './bench.ts';

/**
 * Measures contenders in alternating rounds: first to last, then last to first, and so on, so that a machine that grows slower
 * or busier meanwhile is no contender's fault. Answers each contender's results by round.
 */
export async function alternate<Name extends string, T>(
  rounds: number,
  contenders: Readonly<Record<Name, () => Promise<T>>>,
): Promise<Record<Name, T[]>> {
  const names = Object.keys(contenders) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, T[]>;
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? names : names.toReversed();
    for (const name of order) results[name].push(await contenders[name]());
  }
  return results;
}

/** Round by round `above / below`: noise that lasts longer than a round cancels out. */
export function ratio(what: string, above: readonly number[], below: readonly number[], aim?: Aim): Measure {
  const rounds = above.map((value, round) => value / below[round]!);
  return { what, unit: 'times', rounds, ...(aim === undefined ? {} : { aim }) };
}
