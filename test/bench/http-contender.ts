import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { startNode } from './bench-node.ts';
import { taskOf, tell } from './contender.ts';

export type HttpTask =
  | { readonly server: 'bitacora'; readonly keys: number; readonly valueBytes: number }
  | { readonly server: 'node:http' | 'express'; readonly headers: Record<string, string>; readonly body: string };

export interface Listening {
  readonly port: number;
}

export interface Usage {
  /** Processor time that the process has used since it started. */
  readonly cpuUs: number;
}

const host = '127.0.0.1';
/** As the node has it, so that answers say the same. */
const keepAliveTimeoutMs = 65_000;

/** The least that node:http can do for the same answer. */
function bareServer(headers: Record<string, string>, text: string): Server {
  const body = Buffer.from(text);
  const pairs = Object.entries(headers).flat();
  return createServer({ noDelay: true, keepAliveTimeout: keepAliveTimeoutMs }, (request, response) => {
    response.writeHead(200, pairs);
    response.end(request.method === 'HEAD' ? undefined : body);
  });
}

/** The least that express can do for the same body. */
function expressServer(headers: Record<string, string>, text: string): Server {
  const body = Buffer.from(text);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/rpc', (_request, response) => {
    response.writeHead(200, headers);
    response.end(body);
  });
  return createServer(app);
}

async function start(task: HttpTask): Promise<number> {
  if (task.server === 'bitacora') return (await startNode(task)).port;
  const make = task.server === 'express' ? expressServer : bareServer;
  const server = make(task.headers, task.body);
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  return (server.address() as AddressInfo).port;
}

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  tell({ cpuUs: user + system } satisfies Usage);
});
tell({ port: await start(taskOf<HttpTask>()) } satisfies Listening);
