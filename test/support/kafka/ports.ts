import { createServer } from 'node:net';

const ATTEMPTS = 3;

/** A port of this machine that nobody listened on a moment ago. */
export function freePort(): Promise<number> {
  return bindBriefly(0);
}

export async function assertPortIsFree(port: number): Promise<void> {
  await bindBriefly(port).catch(() => {
    throw new Error(`port ${port} is taken`);
  });
}

/** Calls `start`, which picks free ports, again when another process was quicker to take one of them. */
export async function retryLostPorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt === ATTEMPTS || !/address already in use|port is already allocated/i.test(String(error))) throw error;
    }
  }
}

function bindBriefly(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const bound = typeof address === 'object' && address ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}
