import { readFileSync } from 'node:fs';
import type { Context } from 'mocha';

/** What a process uses can be read on Linux only: elsewhere the suite is skipped. */
export function onLinuxOnly(context: Context): void {
  if (process.platform !== 'linux') context.skip();
}

/** Memory that the process has of the machine's, as the system counts it. */
export function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}

/** Processor time that the main thread has had: its event loop, without threads for the disk and for collecting garbage. */
export function mainThreadCpuMs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8');
  return Number(text.split(' ')[0]) / 1e6;
}
