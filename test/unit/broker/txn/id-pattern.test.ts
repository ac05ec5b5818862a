import { expect } from 'chai';
import { matchingIds } from '../../../../src/broker/txn/id-pattern.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';

describe('pattern of transactional ids', () => {
  const ids = ['orders-1', 'orders-2', 'old orders-1', 'payments-1'];

  it('matches from end to end', async () => {
    expect([...(await matchingIds('orders-\\d', ids))]).to.deep.equal(['orders-1', 'orders-2']);
    expect([...(await matchingIds('orders-1|payments-1', ids))]).to.deep.equal(['orders-1', 'payments-1']);
    expect([...(await matchingIds('orders', ids))]).to.deep.equal([]);
  });

  it('looks at all ids, also at many', async () => {
    const many = Array.from({ length: 2_500 }, (_, index) => `id-${index}`);
    expect(await matchingIds('id-.*[05]', many)).to.have.property('size', 500);
  });

  it('is refused when it is no expression, even if it would be one in parentheses, or nothing is to be matched', async () => {
    for (const pattern of ['(', 'a)(b', '[', '*', '\\z']) {
      expect(await errorOf(matchingIds(pattern, ids)), pattern).to.equal('INVALID_REGULAR_EXPRESSION');
      expect(await errorOf(matchingIds(pattern, [])), pattern).to.equal('INVALID_REGULAR_EXPRESSION');
    }
  });

  it('is given up when it takes for ever', async () => {
    expect(await errorOf(matchingIds('(a+)+', [`${'a'.repeat(60)}!`]))).to.equal('INVALID_REGULAR_EXPRESSION');
  });
});

async function errorOf(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof KafkaError ? error.error : String(error);
}
