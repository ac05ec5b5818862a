import { int16, int32, message, string, structs } from '../schema.ts';

export const offsetDeleteRequest = message(
  'OffsetDeleteRequest',
  47,
  { versions: '0', flexible: 'none' },
  {
    groupId: string('0+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
      })('0+'),
    })('0+'),
  },
);

export const offsetDeleteResponse = message(
  'OffsetDeleteResponse',
  47,
  { versions: '0', flexible: 'none' },
  {
    errorCode: int16('0+'),
    throttleTimeMs: int32('0+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      })('0+'),
    })('0+'),
  },
);
