import { expect } from 'chai';
import { writeResponse } from '../../../../src/broker/server/frames.ts';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { apis } from '../../../../src/log/wire/apis.ts';
import { WireClientError } from '../../../../src/log/wire/client-error.ts';
import { BrokerConnection } from '../../../../src/log/wire/connection.ts';
import { mutated, Random } from '../../../support/protocol/mutations.ts';
import { ScriptedBroker } from '../../../support/wire/scripted-broker.ts';

const rounds = 200;
const seed = Number(process.env.FUZZ_SEED ?? 7);

describe('a connection to a broker that says anything', () => {
  let broker: ScriptedBroker;

  before(async () => {
    broker = await ScriptedBroker.start();
  });

  after(() => broker.stop());

  it(`gives an answer or says what is wrong, for every request (seed ${seed})`, async () => {
    const random = new Random(seed);
    const answer = {
      brokers: [{ nodeId: 1, host: 'broker-1', port: 9_092 }],
      clusterId: 'cluster',
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] }] }],
    };
    const told = new Map<string, number>();
    for (let round = 0; round < rounds; round += 1) {
      broker.onBytes = undefined;
      const connection = await BrokerConnection.open(broker.address, {
        clientId: 'test',
        tls: undefined,
        sasl: undefined,
        clock: systemClock,
        connectTimeoutMs: 10_000,
        loginTimeoutMs: 10_000,
        requestTimeoutMs: 10_000,
        answerBytesMax: 1_000_000,
      });
      // An end where more is announced: nothing here is a matter of time.
      broker.onBytes = (socket, bytes) => {
        if (socket.writableEnded) return;
        const correlationId = bytes.readInt32BE(8);
        const sound = writeResponse(apis.metadata.response, answer, { version: 12, correlationId });
        socket.end(mutated(Buffer.concat(sound), random));
      };
      const asked = [1, 2].map(() => connection.request(apis.metadata, { topics: [{ name: 't' }] }));
      for (const outcome of await Promise.allSettled(asked)) {
        const { status } = outcome;
        if (status === 'rejected') expect(outcome.reason).to.be.instanceOf(WireClientError);
        const what = status === 'fulfilled' ? 'answered' : (outcome.reason as WireClientError).kind;
        told.set(what, (told.get(what) ?? 0) + 1);
      }
      connection.close();
    }
    expect([...told.keys()]).to.have.members(['answered', 'malformed', 'closed']);
  });
});
