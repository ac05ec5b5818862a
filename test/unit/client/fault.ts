import { expect } from 'chai';
import { DatabaseError } from '../../../src/client/client.ts';

/** The error of a call that is to fail with one of the client's. */
export async function faultOf(call: Promise<unknown>): Promise<DatabaseError> {
  const error = await call.then(
    () => new Error('it succeeded'),
    (error: unknown) => error,
  );
  expect(error).to.be.instanceOf(DatabaseError);
  return error as DatabaseError;
}
