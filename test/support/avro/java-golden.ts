import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { JavaProgram } from '../kafka/java.ts';
import { runJavaClient } from './java-client.ts';

export const goldenUrl = new URL('../../fixtures/avro/java-frames.txt', import.meta.url);

/** Connections of the series that `java/AvroClient.java` calls `capture`, in their order. */
const connectionNames = ['original-first', 'original-again', 'database-first', 'database-again'] as const;
export type GoldenConnection = (typeof connectionNames)[number];

/** A message as Avro's Java client sent it, framing and all. */
export interface GoldenFrame {
  readonly connection: GoldenConnection;
  readonly bytes: Buffer;
}

export function goldenText(): string {
  return readFileSync(goldenUrl, 'utf8');
}

/** The frames of one connection, in the order in which they were sent. */
export function goldenFrames(connection: GoldenConnection): Buffer[] {
  const lines = goldenText().split('\n').slice(0, -1);
  const frames = lines.map((line) => line.split(' ') as [GoldenConnection, string, string]);
  return frames.filter(([name]) => name === connection).map(([, , hex]) => Buffer.from(hex, 'hex'));
}

/**
 * What the file holds, asked of Java anew: a line for each message with its connection, its number there, and its bytes. The node
 * behind `avroPort` has not met this Java before: it asks for its protocols on their first connections and not on the next.
 */
export async function captureGolden(program: JavaProgram, avroPort: number): Promise<string> {
  const recorded = await recordConnections(avroPort, (port) => runJavaClient(program, 'capture', port));
  if (recorded.length !== connectionNames.length) throw new Error(`Java has made ${recorded.length} connections`);
  const lines = recorded.flatMap((bytes, index) =>
    framesOf(bytes).map((frame, number) => `${connectionNames[index]} ${number + 1} ${frame.toString('hex')}\n`),
  );
  return lines.join('');
}

/** Stands between clients and a port while `use` runs, and answers what each connection's client has sent. */
async function recordConnections(target: number, use: (port: number) => Promise<unknown>): Promise<Buffer[]> {
  const recorded: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const proxy = createServer({ noDelay: true }, (client) => {
    const chunks: Buffer[] = [];
    recorded.push(chunks);
    const server = connect({ host: '127.0.0.1', port: target, noDelay: true });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  try {
    await use((proxy.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  }
  return recorded.map((chunks) => Buffer.concat(chunks));
}

/** The whole frames of a stream, cut by the framing alone: what is tested is not asked where they end. */
export function framesOf(stream: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let rest = stream; ; ) {
    const bytes = frameBytes(rest);
    if (bytes === undefined || bytes > rest.length) return frames;
    frames.push(rest.subarray(0, bytes));
    rest = rest.subarray(bytes);
  }
}

/** undefined while the lengths of its buffers are not all there. */
function frameBytes(rest: Buffer): number | undefined {
  if (rest.length < 8) return undefined;
  let end = 8;
  for (let left = rest.readInt32BE(4); left > 0; left -= 1) {
    if (rest.length < end + 4) return undefined;
    end += 4 + rest.readInt32BE(end);
  }
  return end;
}
