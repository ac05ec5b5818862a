import { arrayOf, bool, int16, int32, int64, message, string, structs } from '../schema.ts';

export const describeLogDirsRequest = message(
  'DescribeLogDirsRequest',
  35,
  { versions: '1-4', flexible: '2+' },
  {
    topics: structs({
      topic: string('0+'),
      partitions: arrayOf(int32)('0+'),
    })('0+', { nullable: '0+' }),
  },
);

export const describeLogDirsResponse = message(
  'DescribeLogDirsResponse',
  35,
  { versions: '1-4', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    errorCode: int16('3+'),
    results: structs({
      errorCode: int16('0+'),
      logDir: string('0+'),
      topics: structs({
        name: string('0+'),
        partitions: structs({
          partitionIndex: int32('0+'),
          partitionSize: int64('0+'),
          offsetLag: int64('0+'),
          isFutureKey: bool('0+'),
        })('0+'),
      })('0+'),
      totalBytes: int64('4+', { default: -1 }),
      usableBytes: int64('4+', { default: -1 }),
    })('0+'),
  },
);
