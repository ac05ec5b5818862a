import { expect } from 'chai';
import fc from 'fast-check';
import { Call } from '../../../src/client/call.ts';
import { PendingCalls, pendingCallsMax } from '../../../src/client/pending-calls.ts';

const question = { message: 'get', bytes: 1, parameters: () => null } as const;

describe('calls under way on a connection', () => {
  it('are found by their serials as in a Map, in their order, whichever of them are answered first', () => {
    const steps = fc.array(fc.oneof(fc.constant('add'), fc.nat(), fc.constant('ping')), { maxLength: 200 });
    // Often enough for serials to come round to places that are still taken.
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 30 }), (all) => {
        const calls = new PendingCalls();
        const model = new Map<number, Call>();
        for (const step of all.flat()) {
          if (step === 'ping') expect(model.has(calls.nextSerial())).to.equal(false);
          else if (step === 'add') {
            if (model.size === pendingCallsMax) continue;
            const [serial, call] = [calls.nextSerial(), new Call(question, undefined)];
            expect(model.has(serial)).to.equal(false);
            calls.add(serial, call);
            model.set(serial, call);
          } else {
            const serial = [...model.keys()][step % (model.size + 1)] ?? step;
            expect(calls.get(serial)).to.equal(model.get(serial));
            expect(calls.delete(serial)).to.equal(model.delete(serial));
            expect(calls.get(serial)).to.equal(undefined);
          }
          expect(calls.size).to.equal(model.size);
        }
        const [found, expected] = [calls.calls, [...model.values()]];
        expect(found.length).to.equal(expected.length);
        expect(found.every((call, i) => call === expected[i])).to.equal(true);
      }),
    );
  });

  it('are passed over by serials that come round while they are under way, and keep their order', () => {
    const calls = new PendingCalls();
    const [serial, call] = [calls.nextSerial(), new Call(question, undefined)];
    calls.add(serial, call);
    const answered = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        const next = calls.nextSerial();
        calls.add(next, new Call(question, undefined));
        expect(calls.delete(next)).to.equal(true);
      }
    };
    // The next one has the place in front of the first.
    answered(1_022);
    const later = new Call(question, undefined);
    calls.add(calls.nextSerial(), later);
    answered(5_000);
    expect(calls.get(serial)).to.equal(call);
    expect(calls.calls).to.deep.equal([call, later]);
    expect(calls.calls[0]).to.equal(call);
  });

  it('are none under numbers that were not given out', () => {
    const calls = new PendingCalls();
    const serial = calls.nextSerial();
    calls.add(serial, new Call(question, undefined));
    for (const other of [0, -1, serial - 1_024, serial + 1_024, -(2 ** 31), 2 ** 31 - 1]) {
      expect(calls.get(other), String(other)).to.equal(undefined);
      expect(calls.delete(other), String(other)).to.equal(false);
    }
    calls.clear();
    expect([calls.size, calls.calls.length, calls.get(serial)]).to.deep.equal([0, 0, undefined]);
  });
});
