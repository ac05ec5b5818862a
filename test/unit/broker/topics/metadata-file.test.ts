import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  type Metadata,
  newMetadata,
  newTopicId,
  readMetadata,
  writeMetadata,
} from '../../../../src/broker/topics/metadata-file.ts';
import { FatalError } from '../../../../src/kernel/errors.ts';

describe('the metadata file', () => {
  let folder: string;
  const metadata: Metadata = {
    ...newMetadata(),
    epoch: 3,
    nextProducerId: 2000,
    topics: [{ name: 'a', id: newTopicId(), partitions: 2, configs: { 'cleanup.policy': 'compact' } }],
    quotas: [
      { entity: { user: null, 'client-id': 'reader' }, values: { consumer_byte_rate: 2 ** 63 } },
      { entity: { user: 'ann' }, values: { consumer_byte_rate: 1, producer_byte_rate: 2 } },
    ],
  };
  const path = () => join(folder, 'metadata.json');

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-metadata-'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  /** Writes it with something else in it. */
  async function write(change: object): Promise<void> {
    await writeMetadata(folder, metadata);
    const text = await readFile(path(), 'utf8');
    await writeFile(path(), JSON.stringify({ ...JSON.parse(text), ...change }));
  }

  it('is read as it was written, and there is none before', async () => {
    expect(await readMetadata(folder)).to.equal(undefined);
    await writeMetadata(folder, metadata);
    expect(await readMetadata(folder)).to.deep.equal(metadata);
  });

  it('is read in the format of old, which has no quotas', async () => {
    await write({ format: 1, quotas: undefined, deletedIds: undefined });
    expect(await readMetadata(folder)).to.deep.equal({ ...metadata, quotas: [] });
  });

  it('is refused and left as it is when it is damaged, or of a format to come', async () => {
    const [topic] = metadata.topics;
    const quota = { entity: { user: 'ann' }, values: { consumer_byte_rate: 1 } };
    const damages: object[] = [
      { format: 3 },
      { format: undefined },
      { clusterId: 'short' },
      { epoch: -1 },
      { deletedIds: 'all' },
      { deletedIds: ['a'] },
      { nextProducerId: 1.5 },
      { topics: {} },
      { topics: [{ ...topic, name: '..' }] },
      { topics: [topic, topic] },
      { topics: [{ ...topic, id: 'none' }] },
      { topics: [{ ...topic, partitions: 0 }] },
      { topics: [{ ...topic, configs: { 'retention.ms': 5 } }] },
      { quotas: undefined },
      { quotas: [null] },
      { quotas: [{ ...quota, entity: {} }] },
      { quotas: [{ ...quota, entity: { group: 'a' } }] },
      { quotas: [{ ...quota, entity: { user: 5 } }] },
      { quotas: [{ ...quota, values: {} }] },
      { quotas: [{ ...quota, values: { request_percentage: 5 } }] },
      { quotas: [{ ...quota, values: { consumer_byte_rate: '5' } }] },
      { quotas: [{ ...quota, values: { consumer_byte_rate: 0 } }] },
    ];
    for (const damage of damages) {
      await write(damage);
      const before = await readFile(path());
      const error = await readMetadata(folder).then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error, JSON.stringify(damage)).to.be.instanceOf(FatalError);
      expect((await readFile(path())).equals(before)).to.equal(true);
    }
    for (const text of ['', '{', '[]', 'null', '5']) {
      await writeFile(path(), text);
      expect(await readMetadata(folder).catch((error: Error) => error), text).to.be.instanceOf(FatalError);
    }
  });
});
