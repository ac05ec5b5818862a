import { expect } from 'chai';
import { readRequestHeader, writeResponse } from '../../../src/broker/server/frames.ts';
import type { Fields, Message } from '../../../src/protocol/schema.ts';
import { WireError, WireWriter } from '../../../src/protocol/wire.ts';
import { type GoldenFrame, goldenClientId, goldenCorrelationId, goldenFrames } from '../../support/protocol/golden.ts';
import { sampleKinds, sampleValue } from '../../support/protocol/sample-values.ts';
import { isRequest, servedMessages, shapesOf, versionsOf } from '../../support/protocol/served.ts';

const byMessage = new Map(servedMessages.map((message) => [message, [] as GoldenFrame[]]));
for (const golden of goldenFrames()) byMessage.get(golden.message)!.push(golden);

describe('what Kafka’s own encoder writes', () => {
  it('is there for every message that is served, in every version', () => {
    for (const [message, frames] of byMessage) {
      const wanted = versionsOf(message).flatMap((version) => sampleKinds.map((kind) => `${version} ${kind}`));
      expect(
        frames.map(({ version, kind }) => `${version} ${kind}`),
        message.name,
      ).to.deep.equal(wanted);
    }
  });

  for (const [message, frames] of byMessage) {
    describe(message.name, () => {
      it('is read to the values that were given to Kafka', () => {
        for (const golden of frames) {
          const given = sampleValue(shapesOf(message, golden.version), golden.kind);
          expect(message.decode(bodyOf(golden), golden.version), nameOf(golden)).to.deep.equal(
            withDefaults(message.fields, given),
          );
        }
      });

      it('is written to the same bytes, header included', () => {
        for (const golden of frames) {
          const { version, frame } = golden;
          const value = message.decode(bodyOf(golden), version);
          const written = isRequest(message)
            ? Buffer.concat([frame.subarray(0, bodyStartOf(golden)), encode(message, value, version)])
            : Buffer.concat(writeResponse(message, value, { version, correlationId: goldenCorrelationId })).subarray(4);
          expect(written.toString('hex'), nameOf(golden)).to.equal(frame.toString('hex'));
        }
      });

      it('is refused when it is cut short anywhere, and when a byte follows it', () => {
        for (const golden of frames) {
          const { version } = golden;
          const body = bodyOf(golden);
          for (let length = 0; length < body.length; length += 1) {
            refuses(() => message.decode(body.subarray(0, length), version), `${nameOf(golden)}, ${length} bytes`);
          }
          refuses(
            () => message.decode(Buffer.concat([body, Buffer.of(0)]), version),
            `${nameOf(golden)}, one more byte`,
          );
        }
      });
    });
  }

  it('has request headers that are read, and refused when they are cut short', () => {
    for (const golden of goldenFrames().filter(({ message }) => isRequest(message))) {
      const { message, version, frame } = golden;
      expect(readRequestHeader(frame, () => message)).to.deep.include({
        apiKey: message.apiKey,
        version,
        correlationId: goldenCorrelationId,
        clientId: goldenClientId,
      });
      for (let length = 0; length < bodyStartOf(golden); length += 1) {
        refuses(
          () => readRequestHeader(frame.subarray(0, length), () => message),
          `${nameOf(golden)}, ${length} bytes`,
        );
      }
    }
  });
});

function nameOf({ message, version, kind }: GoldenFrame): string {
  return `${message.name} ${version} ${kind}`;
}

function bodyStartOf({ message, version, frame }: GoldenFrame): number {
  if (isRequest(message)) return readRequestHeader(frame, () => message).bodyStart;
  const withoutBody = { ...message, encode: () => undefined };
  return Buffer.concat(writeResponse(withoutBody, {}, { version, correlationId: 0 })).length - 4;
}

function bodyOf(golden: GoldenFrame): Buffer {
  return golden.frame.subarray(bodyStartOf(golden));
}

function encode(message: Message, value: unknown, version: number): Buffer {
  // Too little room on purpose: the writer grows in the middle of everything.
  const writer = new WireWriter(1);
  message.encode(writer, value as never, version);
  return writer.finish();
}

/** Without `expect`, which would take most of the time here. */
function refuses(act: () => unknown, what: string): void {
  try {
    act();
  } catch (error) {
    if (error instanceof WireError) return;
    throw new Error(`${what}: ${error}`, { cause: error });
  }
  throw new Error(`${what}: accepted`);
}

/** Every field is there once a message is decoded, also those that its version does not have. */
function withDefaults(fields: Fields, given: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => {
      const value = given[name];
      if (value === undefined) return [name, field.default];
      if (value === null || field.fields === undefined) return [name, value];
      const inner = field.fields;
      if (!Array.isArray(value)) return [name, withDefaults(inner, value as Record<string, unknown>)];
      return [name, value.map((element) => withDefaults(inner, element))];
    }),
  );
}
