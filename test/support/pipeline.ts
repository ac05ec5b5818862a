import { HttpSocket } from './http-socket.ts';

/** Requests sent all at once on one connection. */
export const Pipeline = {
  /** The statuses of `count` answers to one GET. */
  async get(server: { readonly port: number }, path: string, count: number): Promise<number[]> {
    const socket = await HttpSocket.open(server);
    try {
      socket.send(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`.repeat(count));
      const statuses: number[] = [];
      while (statuses.length < count) statuses.push((await socket.answer()).status);
      return statuses;
    } finally {
      socket.destroy();
    }
  },
};
