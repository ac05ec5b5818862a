import { Writable } from 'node:stream';
import { expect } from 'chai';
import { Output } from '../../../src/cli/output.ts';
import { FatalError } from '../../../src/kernel/errors.ts';

/** A stream whose writes finish when the test says so. */
function heldStream(): { stream: Writable; finish: (error?: NodeJS.ErrnoException) => void } {
  let finish: (error?: NodeJS.ErrnoException) => void = () => {};
  const stream = new Writable({
    highWaterMark: 1,
    write(_chunk, _encoding, callback) {
      finish = (error) => callback(error);
    },
  });
  return { stream, finish: (error) => finish(error) };
}

function fault(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}

describe('standard output', () => {
  it('makes a writer wait for a slow reader', async () => {
    const { stream, finish } = heldStream();
    let isDone = false;
    const writing = new Output(stream).write('a').then(() => {
      isDone = true;
    });
    await new Promise(setImmediate);
    expect(isDone).to.equal(false);
    finish();
    await writing;
  });

  it('lets a writer go, and tells, when the reader goes away', async () => {
    const { stream, finish } = heldStream();
    const output = new Output(stream);
    const writing = output.write('a');
    finish(fault('EPIPE'));
    await writing;
    expect(output.closed.aborted).to.equal(true);
    await output.write('b');
    await output.flush();
  });

  it('fails with one line when it cannot be written', async () => {
    const { stream, finish } = heldStream();
    const output = new Output(stream);
    const writing = output.write('a').then(
      () => undefined,
      (error: unknown) => error,
    );
    finish(fault('ENOSPC'));
    expect(await writing)
      .to.be.instanceOf(FatalError)
      .with.property('message', 'standard output cannot be written: ENOSPC');
  });
});
