import { expect } from 'chai';
import { BitacoraError, errorTable, FatalError, rootMessage } from '../../../src/kernel/errors.ts';

describe('errors', () => {
  it('of the table each have a code in lower case, an HTTP error status and a title', () => {
    for (const [code, { status, title }] of Object.entries(errorTable)) {
      expect(code).to.match(/^[a-z]+(_[a-z]+)*$/);
      expect(status, code).to.be.within(400, 599);
      expect(title, code).to.match(/^[A-Z].*[^.]$/);
    }
  });

  it('carry their code, detail and cause', () => {
    const cause = new Error('underneath');
    const error = new BitacoraError('overloaded', 'Too much.', { cause });
    expect(error).to.be.instanceOf(Error);
    expect(error).to.include({ name: 'BitacoraError', code: 'overloaded', detail: 'Too much.', cause });
    expect(error.message).to.equal('overloaded: Too much.');
  });

  describe('root message', () => {
    const wrapped = (message: string, cause: unknown) => new Error(message, { cause });

    const cases: ReadonlyArray<[what: string, error: unknown, message: string]> = [
      ['an error', new Error('plain'), 'plain'],
      ['an error in errors', wrapped('outer', wrapped('middle', new Error('inner'))), 'inner'],
      ['an error whose cause is no error', wrapped('outer', 'a string'), 'outer'],
      ['the first of several', new AggregateError([new Error('first'), new Error('second')], 'several'), 'first'],
      ['several in one', wrapped('outer', new AggregateError([wrapped('x', new Error('deep'))])), 'deep'],
      ['none of several', new AggregateError([], 'nothing failed'), 'nothing failed'],
      ['an error without a message', new TypeError(), 'TypeError'],
      ['a fault of the environment', new FatalError('no topic'), 'no topic'],
      ['a string', 'thrown', 'thrown'],
      ['nothing', undefined, 'undefined'],
    ];
    for (const [what, error, message] of cases) {
      it(`of ${what}`, () => {
        expect(rootMessage(error)).to.equal(message);
      });
    }

    it('of an error that is its own cause', () => {
      const error = new Error('round and round');
      error.cause = error;
      expect(rootMessage(error)).to.equal('round and round');
    });
  });
});
