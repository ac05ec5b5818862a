import { writeSync } from 'node:fs';
import { PartitionLog } from '../../../../src/broker/storage/partition-log.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';
import { append, compacted, defaults, quiet } from './log-rig.ts';

/**
 * Run by tests as a process of its own: appends `bytes` at a time to the log in a folder, and prints each offset once it is flushed,
 * until an append fails. Then it prints what that left behind, and ends. With `compact` it compacts the log now and then.
 */
const [folder, bytes, segmentBytes, policy] = process.argv.slice(2) as [string, string, string, string?];
const log = await PartitionLog.open({
  folder,
  config: { ...(policy === 'compact' ? compacted : defaults), segmentBytes: Number(segmentBytes) },
  clock: systemClock,
  logger: quiet,
  flush: 'acks-all',
  leaderEpoch: 0,
});
const print = (what: object): void => {
  writeSync(1, `${JSON.stringify(what)}\n`);
};

for (;;) {
  const { endOffset, sizeBytes } = log;
  try {
    append(log, [`key${endOffset % 100}:${String(endOffset).padEnd(Number(bytes), '.')}`]);
  } catch (error) {
    const name = error instanceof KafkaError ? error.error : String(error);
    print({ failure: name, isUnchanged: log.endOffset === endOffset && log.sizeBytes === sizeBytes });
    break;
  }
  await log.flushed(endOffset + 1);
  print({ flushed: endOffset });
  if (policy === 'compact' && endOffset % 40 === 39) await log.compact(systemClock.nowMs());
}
// A smaller one may still fit.
print({ small: append(log, ['k:small']).baseOffset });
