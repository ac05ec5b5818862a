import { expect } from 'chai';
import fc from 'fast-check';
import { Client, DatabaseError } from '../../../src/client/client.ts';
import { type ScriptedCall, ScriptedNode } from './scripted-node.ts';

/** What a node does with a call. */
type Deed = 'do' | 'slow' | 'refuse' | 'leave' | 'reject' | 'lose' | 'drop' | 'garble';
const deeds = fc.constantFrom<Deed>('do', 'do', 'do', 'slow', 'refuse', 'leave', 'reject', 'lose', 'drop', 'garble');
type Step = 'put' | 'get' | 'turn' | 'pause';
const steps = fc.constantFrom<Step>('put', 'put', 'put', 'get', 'turn', 'pause');
/** The deeds that carry a write out, whether or not the client hears of it. */
const writing: readonly Deed[] = ['do', 'slow', 'lose', 'garble'];
const keys = ['a', 'b', 'c'];

/** A database of nodes that misbehave as they are told to. */
class Misbehaving {
  /** The values written under each key, in their order. */
  readonly log = new Map<string, number[]>(keys.map((key) => [key, []]));
  readonly #deeds: Deed[];

  constructor(nodes: readonly ScriptedNode[], script: readonly Deed[]) {
    this.#deeds = [...script];
    for (const node of nodes) {
      // Each node writes in the order in which calls come to it.
      let before = Promise.resolve();
      node.onCall = (call) => {
        before = before.then(() => this.#carryOut(call));
      };
    }
  }

  async #carryOut(call: ScriptedCall): Promise<void> {
    const deed = this.#deeds.shift() ?? 'do';
    if (deed === 'slow') await new Promise((resolve) => setTimeout(resolve, 5));
    // A connection that has ended carries nothing out any more.
    if (call.socket.destroyed) return;
    const isWrite = call.message === 'put';
    if (isWrite && writing.includes(deed)) this.log.get(call.key)!.push(Number(call.value));
    if (deed === 'refuse') call.fail('overloaded', 503);
    else if (deed === 'leave') call.fail('shutting_down', 503);
    else if (deed === 'reject') call.fail('key_empty', 400);
    else if (deed === 'lose' || deed === 'drop') call.socket.destroy();
    else if (deed === 'garble') call.socket.write(Buffer.alloc(24, 0xff));
    else if (isWrite) call.written();
    else call.reading(null);
  }
}

describe('whatever nodes do, the client', () => {
  let nodes: ScriptedNode[];

  beforeEach(async () => {
    nodes = await Promise.all([ScriptedNode.start(), ScriptedNode.start()]);
  });

  afterEach(() => Promise.all(nodes.map((node) => node.stop())));

  it('gives each write its one true outcome, doubles none, and lets no older value of a key follow a newer one', async function () {
    this.timeout(60_000);
    const property = fc.asyncProperty(
      fc.array(deeds, { maxLength: 60 }),
      fc.array(steps, { maxLength: 60 }),
      async (script, plan) => {
        const { log } = new Misbehaving(nodes, script);
        const client = new Client({ nodes: nodes.map(({ address }) => address), timeoutMs: 20_000 });
        const outcomes: Promise<void>[] = [];
        const told = new Map<number, string>();
        let made = 0;
        for (const step of plan) {
          const key = keys[made % keys.length]!;
          if (step === 'turn') await new Promise((resolve) => setImmediate(resolve));
          else if (step === 'pause') await new Promise((resolve) => setTimeout(resolve, 2));
          else if (step === 'get')
            outcomes.push(
              client
                .get(key)
                .then(() => {}, codeOf)
                .then(),
            );
          else {
            const value = made;
            made += 1;
            const put = client.put(key, String(value)).then(() => 'done', codeOf);
            outcomes.push(put.then((outcome) => void told.set(value, outcome)));
          }
        }
        await Promise.all(outcomes);
        await client.close();
        for (const values of log.values()) {
          expect(values, 'the order of the writes').to.deep.equal([...new Set(values)].sort((a, b) => a - b));
        }
        const written = new Set([...log.values()].flat());
        for (const [value, outcome] of told) {
          if (outcome === 'done') expect(written.has(value), `${value} was acknowledged`).to.equal(true);
          else if (outcome !== 'write_outcome_unknown')
            expect(written.has(value), `${value}: ${outcome}`).to.equal(false);
        }
      },
    );
    await fc.assert(property, { numRuns: 150 });
  });
});

function codeOf(error: unknown): string {
  expect(error).to.be.instanceOf(DatabaseError);
  return (error as DatabaseError).code;
}
