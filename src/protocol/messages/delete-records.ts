import { int16, int32, int64, message, string, structs } from '../schema.ts';

export const deleteRecordsRequest = message(
  'DeleteRecordsRequest',
  21,
  { versions: '0-2', flexible: '2+' },
  {
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        offset: int64('0+'),
      })('0+'),
    })('0+'),
    timeoutMs: int32('0+'),
  },
);

export const deleteRecordsResponse = message(
  'DeleteRecordsResponse',
  21,
  { versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+'),
    topics: structs({
      name: string('0+'),
      partitions: structs({
        partitionIndex: int32('0+'),
        lowWatermark: int64('0+'),
        errorCode: int16('0+'),
      })('0+'),
    })('0+'),
  },
);
