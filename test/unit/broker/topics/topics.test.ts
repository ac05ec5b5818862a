import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { readMetadata, writeMetadata } from '../../../../src/broker/topics/metadata-file.ts';
import { Topics } from '../../../../src/broker/topics/topics.ts';
import { createLogger } from '../../../../src/kernel/logger.ts';
import type { KafkaError } from '../../../../src/protocol/errors.ts';
import { writeBatch } from '../../../../src/protocol/record-batch.ts';
import { onLinuxOnly } from '../../../support/broker/process-use.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

describe('topics on disk', () => {
  const clock = new FakeClock();
  const logger = createLogger('silent', { terminal: false });
  let folder: string;
  let topics: Topics;

  const open = (): Promise<Topics> => Topics.open({ folder, flush: 'none', clock, logger });
  const create = (name: string, partitions = 1) => topics.create({ name, partitions, overrides: {} });
  const append = (name: string, partition = 0) => {
    const batch = writeBatch({ records: [{ key: null, value: Buffer.from('value'), timestampMs: clock.nowMs() }] });
    topics.log(name, partition)!.append(batch, { leaderEpoch: topics.leaderEpoch, origin: 'client' });
  };
  const endOf = (name: string, partition = 0) => topics.log(name, partition)?.endOffset;
  /** Of topics that are not the broker's own. */
  const folders = async () =>
    (await readdir(folder)).filter((name) => !name.startsWith('__') && name !== 'metadata.json');
  const errorOf = (done: Promise<unknown>) =>
    done.then(
      () => undefined,
      (error: KafkaError) => error,
    );

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-topics-'));
    topics = await open();
  });

  afterEach(async () => {
    await topics.close();
    await rm(folder, { recursive: true });
  });

  it('leave nothing behind when they are deleted', async () => {
    await create('a', 3);
    append('a');
    const { name, id } = topics.find('a')!;
    await topics.remove({ name, id });
    expect(await folders()).to.deep.equal([]);
    await create('b');
    expect((await readMetadata(folder))!.deletedIds).to.deep.equal([]);
  });

  it('go with the next start when a crash came in the middle of their deletion', async () => {
    const deleted = await create('a', 3);
    const other = await create('a-1');
    append('a-1');
    await topics.close();
    // What is on the disk once the deletion is decided, one folder is called deleted, and some of its files are gone.
    const metadata = (await readMetadata(folder))!;
    const others = metadata.topics.filter(({ name }) => name !== 'a');
    await writeMetadata(folder, { ...metadata, topics: others, deletedIds: [deleted.id] });
    const aside = join(folder, `a-1.${'0'.repeat(32)}-delete`);
    await rename(join(folder, 'a-1'), aside);
    await rm(join(aside, 'partition.metadata'));
    topics = await open();
    expect(await folders()).to.deep.equal(['a-1-0']);
    expect([endOf('a-1'), topics.findById(other.id)?.name]).to.deep.equal([1, 'a-1']);
    expect((await readMetadata(folder))!.deletedIds).to.deep.equal([]);
  });

  it('are all that a start removes the files of: what nobody has deleted stays', async () => {
    await create('a');
    append('a');
    await topics.close();
    const metadata = (await readMetadata(folder))!;
    await writeMetadata(folder, { ...metadata, topics: metadata.topics.filter(({ name }) => name !== 'a') });
    await mkdir(join(folder, 'kept-0.1234-delete'));
    topics = await open();
    expect(await folders()).to.have.members(['a-0', 'kept-0.1234-delete']);
    await create('a');
    expect(endOf('a')).to.equal(0);
    expect((await folders()).filter((name) => /^a-0\.[\da-f]{32}-stray$/.test(name))).to.have.length(1);
  });

  it('are deleted, and moved aside, with names as long as they may be', async () => {
    const name = 'n'.repeat(249);
    await create(name);
    const { id } = topics.find(name)!;
    await topics.remove({ name, id });
    expect(await folders()).to.deep.equal([]);
    await mkdir(join(folder, `${name}-0`));
    await create(name);
    expect(await folders()).to.have.length(2);
  });

  it('are not made where the file system takes their folder for that of another', async () => {
    await create('lower');
    append('lower');
    // As where LOWER-0 and lower-0 are one name.
    await symlink('lower-0', join(folder, 'LOWER-0'));
    const refusal = await errorOf(create('LOWER', 2));
    expect(refusal).to.include({ error: 'INVALID_TOPIC_EXCEPTION' });
    expect(refusal!.message).to.include('lower');
    await rm(join(folder, 'LOWER-0'));
    expect(await folders()).to.deep.equal(['lower-0']);
    append('lower');
    await topics.close();
    topics = await open();
    expect(endOf('lower')).to.equal(2);
  });

  it('have their records again when a power cut emptied the file with their id', async () => {
    const { id } = await create('a');
    append('a');
    await topics.close();
    const path = join(folder, 'a-0', 'partition.metadata');
    const text = await readFile(path, 'utf8');
    for (const harm of [() => writeFile(path, ''), () => rm(path)]) {
      await harm();
      topics = await open();
      expect([endOf('a'), topics.find('a')!.id]).to.deep.equal([1, id]);
      expect(await readFile(path, 'utf8')).to.equal(text);
      await topics.close();
    }
    topics = await open();
  });

  describe('that cannot be opened', () => {
    before(function () {
      onLinuxOnly(this);
    });

    async function openFiles(): Promise<string[]> {
      const fds = await readdir('/proc/self/fd');
      const paths = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
      return paths.filter((path) => path.startsWith(folder));
    }

    it('leave no file open, of themselves or of others', async () => {
      await create('a', 3);
      await create('b', 3);
      append('a');
      append('b', 1);
      await topics.close();
      expect(await openFiles()).to.deep.equal([]);
      await rename(join(folder, 'b-2'), join(folder, 'b-2-elsewhere'));
      await writeFile(join(folder, 'b-2'), 'no folder');
      expect(await errorOf(open())).to.be.instanceOf(Error);
      expect(await openFiles()).to.deep.equal([]);
      await rm(join(folder, 'b-2'));
      await rename(join(folder, 'b-2-elsewhere'), join(folder, 'b-2'));
      topics = await open();
      expect([endOf('a'), endOf('b', 1)]).to.deep.equal([1, 1]);
    });

    it('leave neither files nor folders when they are new', async () => {
      const before = await openFiles();
      await writeFile(join(folder, 'c-20'), 'no folder');
      expect(await errorOf(create('c', 40))).to.include({ error: 'KAFKA_STORAGE_ERROR' });
      expect(await openFiles()).to.have.members(before);
      expect(await folders()).to.deep.equal(['c-20']);
      expect(topics.find('c')).to.equal(undefined);
      await rm(join(folder, 'c-20'));
      await create('c', 40);
      expect(await folders()).to.have.length(40);
    });
  });
});
