import { readFileSync } from 'node:fs';

/** In which Linux counts processor time for programs to read, on every architecture there is (`USER_HZ`, see proc(5)). */
const ticksPerSecond = 100;

export interface ProcessUse {
  /** Of all its threads, in the system too. */
  readonly processorUs: number;
  readonly residentMb: number;
  readonly residentMostMb: number;
}

/** What a process has used so far; NaN where the system is not Linux, which alone tells. */
export function useOf(pid: number): ProcessUse {
  if (process.platform !== 'linux') {
    return { processorUs: Number.NaN, residentMb: Number.NaN, residentMostMb: Number.NaN };
  }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)![1]) / 1_024;
  // The name of the program, in brackets, may have spaces in it.
  const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '');
  const [userTicks, systemTicks] = afterName.split(' ').slice(11, 13).map(Number);
  return {
    processorUs: ((userTicks! + systemTicks!) * 1_000_000) / ticksPerSecond,
    residentMb: megabytes('VmRSS'),
    residentMostMb: megabytes('VmHWM'),
  };
}
