import { expect } from 'chai';
import kafkajs from 'kafkajs';
import { BitacoraError } from '../../../../src/kernel/errors.ts';
import { asLogError, protocolAnswer } from '../../../../src/log/kafka/errors.ts';

/** The classes as they are at run time: their published types leave out most of what their constructors take. */
const classes = kafkajs as unknown as Record<string, new (...args: unknown[]) => Error>;
const make = (name: string, ...args: unknown[]): Error =>
  new (classes[name] ?? expect.fail(`no class ${name}`))(...args);

const broker = (type: string, code: number, retriable: boolean) =>
  make('KafkaJSProtocolError', { type, code, retriable, message: `the broker says ${type}` });
const afterRetries = (error: Error) => make('KafkaJSNumberOfRetriesExceeded', error, { retryCount: 5, retryTime: 100 });
const notRetriable = (error: Error & { cause?: unknown }) =>
  make('KafkaJSNonRetriableError', error, { cause: error.cause ?? error });
const connection = (message: string, code: string) =>
  make('KafkaJSConnectionError', message, { broker: 'broker:9092', code });

describe('kafkajs errors', () => {
  describe('the broker’s answer', () => {
    const timedOut = broker('REQUEST_TIMED_OUT', 7, true);
    const tooLarge = broker('MESSAGE_TOO_LARGE', 10, false);

    it('is found in the error itself', () => {
      expect(protocolAnswer(timedOut)).to.deep.equal({ type: 'REQUEST_TIMED_OUT', retriable: true });
      expect(protocolAnswer(tooLarge)).to.deep.equal({ type: 'MESSAGE_TOO_LARGE', retriable: false });
      expect(protocolAnswer(broker('UNKNOWN', -1, false))?.type).to.equal('UNKNOWN');
    });

    it('is found however often kafkajs has wrapped it', () => {
      expect(protocolAnswer(afterRetries(timedOut))).to.deep.equal({ type: 'REQUEST_TIMED_OUT', retriable: true });
      expect(protocolAnswer(notRetriable(tooLarge))?.type).to.equal('MESSAGE_TOO_LARGE');
      expect(protocolAnswer(notRetriable(afterRetries(timedOut)))?.type).to.equal('REQUEST_TIMED_OUT');
    });

    it('is found in the subclasses', () => {
      const outOfRange = { type: 'OFFSET_OUT_OF_RANGE', code: 1, retriable: false, message: 'm' };
      const error = make('KafkaJSOffsetOutOfRange', outOfRange, { topic: 't', partition: 0 });
      expect(protocolAnswer(error)?.type).to.equal('OFFSET_OUT_OF_RANGE');
    });

    for (const [what, error] of [
      ['a refused connection', connection('connect ECONNREFUSED', 'ECONNREFUSED')],
      ['a closed connection', make('KafkaJSConnectionClosedError', 'Closed connection', { host: 'h', port: 1 })],
      ['a request that timed out here', make('KafkaJSRequestTimeoutError', 'Request Produce timed out', {})],
      ['a refused connection after retries', afterRetries(connection('connect ECONNREFUSED', 'ECONNREFUSED'))],
      ['a failed login', make('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed')],
      ['an error of Node.js', Object.assign(new Error('reset'), { code: 'ECONNRESET' })],
      ['an error of another library', Object.assign(new Error('x'), { type: 'system', code: 'ECONNRESET' })],
      ['no error at all', undefined],
      ['something thrown that is no error', { type: 'UNKNOWN', code: -1 }],
    ] as const) {
      it(`is not in ${what}`, () => {
        expect(protocolAnswer(error)).to.equal(undefined);
      });
    }

    it('is looked for in an error that is its own cause, and given up', () => {
      const error = new Error('round and round');
      error.cause = error;
      expect(protocolAnswer(error)).to.equal(undefined);
    });
  });

  describe('as the log’s errors', () => {
    const cases: ReadonlyArray<[what: string, error: unknown, code: string]> = [
      ['a refused connection', afterRetries(connection('connect ECONNREFUSED', 'ECONNREFUSED')), 'log_unavailable'],
      ['a broker that is not the leader', broker('NOT_LEADER_FOR_PARTITION', 6, true), 'log_unavailable'],
      ['a missing topic', broker('UNKNOWN_TOPIC_OR_PARTITION', 3, true), 'log_unavailable'],
      ['a refused topic', notRetriable(broker('TOPIC_AUTHORIZATION_FAILED', 29, false)), 'log_rejected'],
      ['a refused group', broker('GROUP_AUTHORIZATION_FAILED', 30, false), 'log_rejected'],
      ['a policy of the cluster', broker('POLICY_VIOLATION', 44, false), 'log_rejected'],
      [
        'a failed login',
        notRetriable(make('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed')),
        'log_rejected',
      ],
      [
        'a certificate nobody vouches for',
        afterRetries(connection('self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT')),
        'log_rejected',
      ],
      [
        'a certificate of another host',
        connection('Hostname does not match', 'ERR_TLS_CERT_ALTNAME_INVALID'),
        'log_rejected',
      ],
      ['something thrown that is no error', 'a string', 'log_unavailable'],
    ];
    for (const [what, error, code] of cases) {
      it(`${what} is ${code}`, () => {
        const result = asLogError(error, 'what was asked');
        expect(result).to.be.instanceOf(BitacoraError);
        expect(result.code).to.equal(code);
        expect(result.cause).to.equal(error);
        expect(result.detail).to.contain('what was asked');
      });
    }

    it('says what the innermost error says', () => {
      const error = afterRetries(connection('connect ECONNREFUSED 10.0.0.1:9092', 'ECONNREFUSED'));
      expect(asLogError(error, 'x').detail).to.contain('ECONNREFUSED 10.0.0.1:9092');
    });

    it('looks into an error that stands for several, as kafkajs reports a refused creation', () => {
      const refused = broker('TOPIC_AUTHORIZATION_FAILED', 29, false);
      const error = asLogError(
        make('KafkaJSAggregateError', 'Topic creation errors', [refused]),
        'to create the topic',
      );
      expect([error.code, error.detail]).to.deep.equal([
        'log_rejected',
        'Kafka refused to create the topic: the broker says TOPIC_AUTHORIZATION_FAILED',
      ]);
    });

    it('leaves an error of the log as it is', () => {
      const error = new BitacoraError('overloaded', 'detail');
      expect(asLogError(error, 'x')).to.equal(error);
    });
  });
});
