import { createContext, Script } from 'node:vm';
import { KafkaError } from '../../protocol/errors.ts';

/** How long the event loop may be held up by one search, which looks at so many ids. */
const searchTimeoutMs = 40;
const idsPerSearch = 1_000;

/** Knows nothing but what it is given, and runs where its time can be limited. */
const search = new Script(`(() => {
  new RegExp(pattern, 'u');
  const whole = new RegExp('^(?:' + pattern + ')$', 'u');
  return ids.map((id) => whole.test(id));
})()`);

/**
 * The ids that a regular expression matches from end to end (KIP-1152). Kafka searches in linear time; JavaScript's expressions can
 * be written so that they take for ever, which is why the time is limited and other requests get their turn in between. Rejects with
 * a `KafkaError` INVALID_REGULAR_EXPRESSION for what is none, or takes too long.
 */
export async function matchingIds(pattern: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const matching = new Set<string>();
  // What is no expression is refused also when there is nothing to match.
  for (let from = 0; from === 0 || from < ids.length; from += idsPerSearch) {
    if (from > 0) await new Promise((resolve) => setImmediate(resolve));
    const some = ids.slice(from, from + idsPerSearch);
    for (const [index, isMatch] of searchSome(pattern, some).entries()) if (isMatch) matching.add(some[index]!);
  }
  return matching;
}

function searchSome(pattern: string, ids: readonly string[]): readonly boolean[] {
  try {
    return search.runInContext(createContext({ pattern, ids }), { timeout: searchTimeoutMs });
  } catch (cause) {
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', `The pattern cannot be used: ${(cause as Error).message}`, {
      cause,
    });
  }
}
