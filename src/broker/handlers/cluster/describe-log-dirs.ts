import { statfs } from 'node:fs/promises';
import { describeLogDirsRequest, describeLogDirsResponse } from '../../../protocol/messages/describe-log-dirs.ts';
import { handler } from '../../server/handler.ts';
import type { Topics } from '../../topics/topics.ts';

/** DescribeLogDirs (key 35): one folder holds everything. */
export function describeLogDirs({ topics, folder }: { topics: Topics; folder: string }) {
  return handler({
    request: describeLogDirsRequest,
    response: describeLogDirsResponse,
    async handle(_context, { topics: wanted }) {
      const disk = await statfs(folder);
      const wantedOf = new Map(wanted?.map(({ topic, partitions }) => [topic, new Set(partitions)]));
      const described = [...topics.all()]
        .filter(({ name }) => wanted === null || wantedOf.has(name))
        .map(({ name, logs }) => ({
          name,
          partitions: logs
            .map((log, partitionIndex) => ({ partitionIndex, partitionSize: log.sizeBytes }))
            .filter(({ partitionIndex }) => wanted === null || wantedOf.get(name)!.has(partitionIndex)),
        }))
        .filter(({ partitions }) => partitions.length > 0);
      const totalBytes = disk.blocks * disk.bsize;
      const usableBytes = disk.bavail * disk.bsize;
      return { results: [{ logDir: folder, topics: described, totalBytes, usableBytes }] };
    },
    failure: (errorCode) => ({ errorCode, results: [] }),
  });
}
