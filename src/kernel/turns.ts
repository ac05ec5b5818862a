const waiting: (() => void)[] = [];

/**
 * Resolves in a later turn of the event loop, of which no two calls get the same: what is done in parts comes between other things,
 * and many who do so at once do not add up to one long stall, as they would if all went on in the next turn.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === 1) setImmediate(giveTurn);
  });
}

function giveTurn(): void {
  waiting.shift()?.();
  // Set within this turn it comes in the next one, behind whatever has arrived meanwhile.
  if (waiting.length > 0) setImmediate(giveTurn);
}
