import { isUtf8 } from 'node:buffer';
import type { Database } from '../database/database.ts';
import { BitacoraError } from '../kernel/errors.ts';
import type { ServedProtocol } from './calls.ts';
import { ownProtocol } from './wire/protocol.ts';

/** `RPCHandlerAvro`, as clients of the original bitacora have it: texts, and errors as strings. */
export function originalMessages(database: Database): ServedProtocol {
  return {
    protocol: ownProtocol('rpc.avpr'),
    failureOf: ({ message }) => message,
    handlers: {
      getValue: ({ key }: { key: string }) => {
        const reading = database.read(Buffer.from(key));
        return reading instanceof Promise
          ? reading.then(({ found }) => textOf(found?.value))
          : textOf(reading.found?.value);
      },
      setValue: async ({ key, value }: { key: string; value: string }) => {
        await database.put(Buffer.from(key), Buffer.from(value), { wait: 'applied' });
        return null;
      },
      delete: async ({ key }: { key: string }) => {
        await database.delete(Buffer.from(key), { wait: 'applied' });
        return null;
      },
    },
  };
}

function textOf(value: Buffer | undefined): string | null {
  if (value === undefined) return null;
  if (isUtf8(value)) return value.toString('utf8');
  throw new BitacoraError(
    'value_not_text',
    'The value is not UTF-8, and this protocol has no bytes: read it by another.',
  );
}
