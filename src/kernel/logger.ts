import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** JSON lines for machines; on a terminal, short coloured lines for a person. */
export function createLogger(level: LogLevel, options: { terminal: boolean }): Logger {
  if (!options.terminal) return pino({ level, base: null });
  return pino({
    level,
    base: null,
    transport: { target: 'pino-pretty', options: { colorize: true, translateTime: 'SYS:HH:MM:ss', singleLine: true } },
  });
}
