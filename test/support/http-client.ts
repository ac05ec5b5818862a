import { Agent, type IncomingHttpHeaders, request as sendRequest } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body's text. */
  readonly text: string;
  /** The body as JSON; throws when it is none. */
  json(): Record<string, unknown>;
}

export interface RequestParts {
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Uint8Array;
  readonly agent?: Agent;
}

/** One request, its target sent as it is given, on a connection of its own unless an agent is. */
export function ask(
  { port }: { readonly port: number },
  method: string,
  path: string,
  { headers = {}, body, agent }: RequestParts = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, agent: agent ?? new Agent(), headers: { ...headers } };
    const request = sendRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString('utf8');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: bytes,
          text,
          json: () => JSON.parse(text),
        });
      });
    });
    request.on('error', reject);
    // As bytes: with a text, Node.js would write the headers in the text's encoding too.
    request.end(typeof body === 'string' ? Buffer.from(body) : body);
  });
}

/** Every byte percent-encoded. */
export function encodeBytes(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}
