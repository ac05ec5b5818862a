import { BitacoraError, FatalError, rootMessage } from '../kernel/errors.ts';

/** What the store threw, as a line for a person. */
export function storeFailure(error: unknown): FatalError {
  if (error instanceof FatalError) return error;
  // What V8 throws when the system has no more memory.
  const isFull = error instanceof RangeError && /allocation failed/i.test(error.message);
  const what = isFull ? 'the topic does not fit into the memory of this machine' : 'a record could not be applied';
  return new FatalError(`${what}: ${rootMessage(error)}`, { cause: error });
}

/** What the log answered, or a fault of ours, as a line for a person. */
export function asFatal(error: unknown): FatalError {
  if (error instanceof FatalError) return error;
  const message = error instanceof BitacoraError ? error.detail : `reading the topic failed: ${String(error)}`;
  return new FatalError(message, { cause: error });
}
