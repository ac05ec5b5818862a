/** Numbers that follow from a seed alone, each in 0 … 2^32 - 1: Marsaglia's xorshift with 32 bits of state. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not begin alike, and a state of 0 would stay 0.
    this.#state = Math.imul(seed + 1, 0x9e37_79b1) >>> 0 || 1;
    for (let round = 0; round < 4; round += 1) this.next();
  }

  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state;
  }

  below(limit: number): number {
    return this.next() % limit;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

const telling = {
  bytes: [0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff],
  int16s: [-1, -2, 0, 0x7fff, -0x8000, 3, 12],
  int32s: [-1, -2, 0, 0x7fff_ffff, -0x8000_0000, 0x00ff_ffff, 0x0010_0000],
  uvarints: ['ffffffff0f', 'ffffffff07', '8080808008', '808080808000', 'ffff03', '8000'].map((hex) =>
    Buffer.from(hex, 'hex'),
  ),
} as const;

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const mutations: readonly Mutation[] = [
  (bytes, random) => {
    bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  },
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.pick(telling.bytes);
    return bytes;
  },
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  },
  (bytes, random) => {
    if (bytes.length >= 2) bytes.writeInt16BE(random.pick(telling.int16s), random.below(bytes.length - 1));
    return bytes;
  },
  (bytes, random) => {
    if (bytes.length >= 4) bytes.writeInt32BE(random.pick(telling.int32s), random.below(bytes.length - 3));
    return bytes;
  },
  (bytes, random) => {
    const at = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), random.pick(telling.uvarints), bytes.subarray(at + random.below(3))]);
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  (bytes, random) => {
    const [from, to] = [random.below(bytes.length), random.below(bytes.length + 1)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    // Cut out, or doubled.
    return random.below(2) === 0
      ? Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])
      : Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
];

/** A copy with one to four changes, each at a place and of a kind that `random` picks. */
export function mutated(bytes: Buffer, random: Random): Buffer {
  let changed: Buffer = Buffer.from(bytes);
  for (let left = 1 + random.below(4); left > 0 && changed.length > 0; left -= 1) {
    changed = random.pick(mutations)(changed, random);
  }
  return changed;
}
