import { expect } from 'chai';
import { type Outcome, Transaction } from '../../../../src/broker/txn/transaction.ts';
import { noPartitions, type TransactionState } from '../../../../src/broker/txn/transaction-state.ts';
import { identityOf, nameOf, targetOf } from './transaction-rig.ts';

const nowMs = 1_000;
const timeoutMs = 60_000;
/** Kafka hands out epochs up to this one, and keeps the next for fencing. */
const lastEpoch = 32_766;

describe('transaction of one transactional id', () => {
  it('bumps the epoch of a producer that says who it is and goes on after an error', () => {
    const transaction = started('7/3');
    expect(init(transaction, '7/3')).to.equal('7/4');
    expect(init(transaction, '7/4')).to.equal('7/5');
  });

  it('repeats an answer that was lost, as often as it is asked', () => {
    const transaction = started('7/3');
    expect([init(transaction, '7/3'), init(transaction, '7/3'), init(transaction, '7/3')]).to.deep.equal(
      Array(3).fill('7/4'),
    );
  });

  it('fences a producer that says who it is, and has been replaced', () => {
    const transaction = started('7/3');
    expect(init(transaction, '7/3')).to.equal('7/4');
    expect(init(transaction)).to.equal('7/5');
    expect([init(transaction, '7/3'), init(transaction, '7/4'), init(transaction, '7/2')]).to.deep.equal(
      Array(3).fill('PRODUCER_FENCED'),
    );
    expect(init(transaction, '6/5')).to.equal('PRODUCER_FENCED');
    expect(init(transaction)).to.equal('7/6');
  });

  it('does not abort a transaction for a producer that was fenced before it began', () => {
    const transaction = started('7/3');
    write(transaction, transaction.addPartitions(identityOf('7/3'), [targetOf('a-0')], nowMs));
    expect(init(transaction, '7/2')).to.equal('PRODUCER_FENCED');
    expect(transaction.state.status).to.equal('Ongoing');
    expect(init(transaction, '7/3')).to.equal('CONCURRENT_TRANSACTIONS');
    expect(transaction.state).to.include({ status: 'PrepareAbort', producerEpoch: 4 });
  });

  it('takes whoever says who it is for new where nobody has used the transactional id', () => {
    const transaction = Transaction.create(7, timeoutMs, nowMs);
    expect(init(transaction, '5/9')).to.equal('7/0');
  });

  it('asks for a new producer id when the epochs are used up', () => {
    const transaction = started(`7/${lastEpoch - 1}`);
    expect(init(transaction)).to.equal(`7/${lastEpoch}`);
    expect(
      transaction.initProducerId({ timeoutMs, expected: undefined, newProducerId: undefined }, nowMs),
    ).to.deep.equal({
      kind: 'producer-id',
    });
    expect(init(transaction, undefined, 8)).to.equal('8/0');
  });

  it('gives a producer that has used up its epochs its new id, and again if the answer was lost', () => {
    const transaction = started(`7/${lastEpoch}`);
    expect(init(transaction, `7/${lastEpoch}`, 8)).to.equal('8/0');
    expect(init(transaction, `7/${lastEpoch}`, 9)).to.equal('8/0');
    expect(init(transaction, `7/${lastEpoch}`, 9)).to.equal('8/0');
    expect(init(transaction, '7/5')).to.equal('PRODUCER_FENCED');
    expect(init(transaction)).to.equal('8/1');
    expect(init(transaction, `7/${lastEpoch}`)).to.equal('PRODUCER_FENCED');
  });

  it('fences with an epoch of its own, also the last that is handed out', () => {
    const transaction = started(`7/${lastEpoch}`);
    write(transaction, transaction.addPartitions(identityOf(`7/${lastEpoch}`), [targetOf('a-0')], nowMs));
    expect(init(transaction)).to.equal('CONCURRENT_TRANSACTIONS');
    expect(transaction.decided).to.deep.include({ producerId: 7, producerEpoch: lastEpoch + 1, commit: false });
    write(transaction, transaction.markersWritten(nowMs));
    expect(init(transaction, `7/${lastEpoch}`)).to.equal('PRODUCER_FENCED');
    expect(init(transaction, undefined, 8)).to.equal('8/0');
  });

  it('aborts also what somebody has begun under an epoch that was never handed out', () => {
    const transaction = started(`7/${lastEpoch + 1}`);
    write(transaction, transaction.addPartitions(identityOf(`7/${lastEpoch + 1}`), [targetOf('a-0')], nowMs));
    write(transaction, transaction.timeOut(nowMs + timeoutMs + 1)!);
    expect(transaction.decided).to.deep.include({ producerEpoch: lastEpoch + 1, commit: false });
  });

  it('takes the timeout of the producer that came last', () => {
    const transaction = started('7/3');
    write(
      transaction,
      transaction.initProducerId({ timeoutMs: 5, expected: undefined, newProducerId: undefined }, nowMs),
    );
    write(transaction, transaction.addPartitions(identityOf('7/4'), [targetOf('a-0')], nowMs));
    expect(transaction.timeOut(nowMs + 5)).to.equal(undefined);
    expect(transaction.timeOut(nowMs + 6)).to.have.property('kind', 'persist');
  });

  it('changes nothing before what it decided is in the log', () => {
    const transaction = started('7/3');
    const before = transaction.state;
    transaction.initProducerId({ timeoutMs, expected: undefined, newProducerId: undefined }, nowMs);
    expect(transaction.state).to.equal(before);
    transaction.notPersisted();
    expect(transaction.state).to.equal(before);
  });

  it('expires only where nothing is open and nothing is due', () => {
    const expires = (state: Partial<TransactionState>): boolean =>
      started('7/3', state).expire(nowMs + 100, 100) !== undefined;
    expect(expires({ status: 'Empty' })).to.equal(true);
    expect(expires({ status: 'CompleteCommit' })).to.equal(true);
    expect(expires({ status: 'CompleteAbort' })).to.equal(true);
    expect(expires({ status: 'Ongoing' })).to.equal(false);
    expect(expires({ status: 'PrepareCommit' })).to.equal(false);
    expect(expires({ status: 'PrepareAbort' })).to.equal(false);
    expect(expires({ status: 'Empty', updatedMs: nowMs + 1 })).to.equal(false);
  });

  it('hears nobody while it expires', () => {
    const transaction = started('7/3');
    transaction.expire(nowMs + 100, 100);
    expect(init(transaction)).to.equal('CONCURRENT_TRANSACTIONS');
    expect(transaction.addPartitions(identityOf('7/3'), [], nowMs)).to.deep.equal({
      kind: 'reply',
      reply: { error: 'CONCURRENT_TRANSACTIONS' },
    });
  });
});

function started(producer: string, state: Partial<TransactionState> = {}): Transaction {
  return new Transaction({
    ...identityOf(producer),
    status: 'Empty',
    previousProducerId: -1,
    lastProducerEpoch: -1,
    timeoutMs,
    partitions: noPartitions,
    startedMs: -1,
    updatedMs: nowMs,
    ...state,
  });
}

/** The answer, once a log has taken whatever was to be written. */
function write(transaction: Transaction, outcome: Outcome): string {
  if (outcome.kind === 'producer-id') return outcome.kind;
  return nameOf(outcome.kind === 'reply' ? outcome.reply : transaction.persisted());
}

function init(transaction: Transaction, expected?: string, newProducerId?: number): string {
  const identity = expected === undefined ? undefined : identityOf(expected);
  return write(transaction, transaction.initProducerId({ timeoutMs, expected: identity, newProducerId }, nowMs));
}
