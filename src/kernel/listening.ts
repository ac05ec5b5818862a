import type { Server } from 'node:net';
import { FatalError } from './errors.ts';
import type { Logger } from './logger.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The option that names the port, for a person whose port is in use. */
  readonly portOption: string;
  /** As it stands in a log line: `HTTP server`. */
  readonly name: string;
  readonly logger: Logger;
}

/** Opens a port; rejects with a `FatalError` when that cannot be. Errors that the server has later are logged. */
export function listen(server: Server, { host, port, portOption, name, logger }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, portOption));
    server.once('error', fail);
    server.listen({ host, port }, () => {
      server.off('error', fail);
      server.on('error', (error) => logger.error({ err: error }, `the ${name} failed`));
      resolve();
    });
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number, portOption: string): FatalError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new FatalError(`port ${port} is in use: set ${portOption} to another one`, { cause: error });
    case 'EACCES':
      return new FatalError(`port ${port} may not be opened by this user: set ${portOption} to another one`, {
        cause: error,
      });
    default:
      return new FatalError(`cannot listen on ${host}:${port} (${error.message}): set API_HOST or ${portOption}`, {
        cause: error,
      });
  }
}
