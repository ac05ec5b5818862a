import { expect } from 'chai';
import { GroupFlush } from '../../../../src/broker/storage/group-flush.ts';
import { settled } from '../../../support/fake-clock.ts';
import { failureOf } from './log-rig.ts';

describe('group flush', () => {
  /** A disk whose attempts end when the test says so. */
  class Disk {
    endOffset = 0;
    readonly attempts: { readonly succeed: () => void; readonly fail: (syscall: string) => void }[] = [];

    readonly sync = (): Promise<number> => {
      const { endOffset } = this;
      return new Promise((resolve, reject) => {
        this.attempts.push({
          succeed: () => resolve(endOffset),
          fail: (syscall) => reject(Object.assign(new Error('EIO'), { syscall })),
        });
      });
    };
  }

  it('makes one attempt at a time, which all share who came before it', async () => {
    const disk = new Disk();
    const flush = new GroupFlush(0, disk.sync);
    const done: number[] = [];
    const want = (offset: number) => flush.upTo(offset).then(() => done.push(offset));
    disk.endOffset = 3;
    void want(1);
    void want(3);
    await settled();
    disk.endOffset = 5;
    void want(5);
    void want(4);
    await settled();
    expect(disk.attempts).to.have.length(1);
    disk.attempts[0]!.succeed();
    await settled();
    expect(done).to.deep.equal([1, 3]);
    expect(disk.attempts).to.have.length(2);
    disk.attempts[1]!.succeed();
    await settled();
    expect(done).to.have.members([1, 3, 4, 5]);
    await flush.upTo(5);
    expect(disk.attempts).to.have.length(2);
  });

  it('fails for good after one attempt that failed', async () => {
    const disk = new Disk();
    const flush = new GroupFlush(0, disk.sync);
    disk.endOffset = 2;
    const failures = [failureOf(() => flush.upTo(1)), failureOf(() => flush.upTo(2))];
    await settled();
    disk.attempts[0]!.fail('fdatasync');
    expect(await Promise.all(failures)).to.deep.equal(['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR']);
    expect(flush.hasFailed).to.equal(true);
    expect(await failureOf(() => flush.upTo(1))).to.equal('KAFKA_STORAGE_ERROR');
    expect(disk.attempts).to.have.length(1);
  });

  it('fails only who took part in an attempt that could not open a file', async () => {
    const disk = new Disk();
    const flush = new GroupFlush(0, disk.sync);
    disk.endOffset = 2;
    const failures = [failureOf(() => flush.upTo(1)), failureOf(() => flush.upTo(2))];
    await settled();
    const later = flush.upTo(1);
    disk.attempts[0]!.fail('open');
    expect(await Promise.all(failures)).to.deep.equal(['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR']);
    await settled();
    expect(flush.hasFailed).to.equal(false);
    disk.attempts[1]!.succeed();
    await later;
    await flush.upTo(2);
    expect(disk.attempts).to.have.length(2);
  });
});
