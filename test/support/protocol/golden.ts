import { readFileSync } from 'node:fs';
import type { Message } from '../../../src/protocol/schema.ts';
import { batchCases, forKafka } from './batch-cases.ts';
import { definedShapes, parseDefinition } from './definitions.ts';
import type { Oracle } from './oracle.ts';
import { inKafkasJson, type SampleKind, sampleKinds, sampleValue } from './sample-values.ts';
import { servedMessages, versionsOf } from './served.ts';

export const goldenFolder = new URL('../../fixtures/protocol/', import.meta.url);
export const goldenCorrelationId = 0x01020304;
export const goldenClientId = 'golden';

/** A whole request or response, without the length before it, as Kafka's own encoder writes it. */
export interface GoldenFrame {
  readonly message: Message;
  readonly version: number;
  readonly kind: SampleKind;
  readonly frame: Buffer;
}

const goldenFiles = { frames: 'frames.txt', batches: 'batches.txt', varints: 'varints.json' } as const;
export type GoldenFile = keyof typeof goldenFiles;

export const goldenUrl = (file: GoldenFile): URL => new URL(goldenFiles[file], goldenFolder);
export const goldenText = (file: GoldenFile): string => readFileSync(goldenUrl(file), 'utf8');

export function goldenFrames(): GoldenFrame[] {
  const messages = new Map(servedMessages.map((message) => [message.name, message]));
  return linesOf('frames').map(([name = '', version, kind, hex = '']) => ({
    message: messages.get(name)!,
    version: Number(version),
    kind: kind as SampleKind,
    frame: Buffer.from(hex, 'hex'),
  }));
}

/** Record batches as Kafka's own builder writes them, by the name of their case. */
export function goldenBatches(): Map<string, Buffer> {
  return new Map(linesOf('batches').map(([name = '', hex = '']) => [name, Buffer.from(hex, 'hex')]));
}

function linesOf(file: GoldenFile): string[][] {
  return goldenText(file)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '));
}

/** What each file holds, asked of Kafka anew. */
export const goldenMakers: Readonly<Record<GoldenFile, (oracle: Oracle) => Promise<string>>> = {
  frames: makeFrames,
  batches: makeBatches,
  varints: makeVarints,
};

async function makeFrames(oracle: Oracle): Promise<string> {
  const definitions = await oracle(
    'definition',
    servedMessages.map(({ name }) => ({ message: name })),
  );
  const wanted = servedMessages.flatMap((message, index) => {
    // By Kafka's definition, not by ours, which is what is tested.
    const definition = parseDefinition(definitions[index]!.text);
    return versionsOf(message).flatMap((version) => {
      const shapes = definedShapes(definition, version);
      return sampleKinds.map((kind) => ({
        kind,
        message: message.name,
        version,
        correlationId: goldenCorrelationId,
        clientId: goldenClientId,
        value: inKafkasJson(shapes, sampleValue(shapes, kind)),
      }));
    });
  });
  const answers = await oracle('frame', wanted);
  return wanted
    .map(({ message, version, kind }, index) => `${message} ${version} ${kind} ${answers[index]!.hex}\n`)
    .join('');
}

async function makeBatches(oracle: Oracle): Promise<string> {
  const answers = await oracle(
    'writeBatch',
    batchCases.map((each) => ({ batch: forKafka(each) })),
  );
  return batchCases.map(({ name }, index) => `${name} ${answers[index]!.hex}\n`).join('');
}

async function makeVarints(oracle: Oracle): Promise<string> {
  const powers = (bits: number): bigint[] => Array.from({ length: bits }, (_, bit) => 1n << BigInt(bit));
  const around = (bits: number): bigint[] => [
    0n,
    ...powers(bits).flatMap((power) => [power - 1n, power, -power, -power - 1n]),
  ];
  const limits = { varint: [32, true], varlong: [64, true], uvarint: [32, false] } as const;
  const kinds = Object.entries(limits).map(async ([kind, [bits, isSigned]]) => {
    const [min, max] = isSigned
      ? [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n]
      : [0n, (1n << BigInt(bits)) - 1n];
    const step = around(bits).filter(
      (value, index, all) => value >= min && value <= max && all.indexOf(value) === index,
    );
    const values = step.map(String);
    const answers = await oracle(
      'varint',
      values.map((value) => ({ kind, value })),
    );
    const pairs = values.map((value, index) => `    ["${value}", "${answers[index]!.hex}"]`);
    return `  "${kind}": [\n${pairs.join(',\n')}\n  ]`;
  });
  return `{\n${(await Promise.all(kinds)).join(',\n')}\n}\n`;
}
