import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** JSON lines for machines; on a terminal, short coloured lines for a person. */
export function createLogger(level: LogLevel, options: { terminal: boolean }): Logger {
  const settings = { level, base: null };
  if (!options.terminal) return pino(settings);
  return pino(settings, pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss', singleLine: true, sync: true }));
}
