import { expect } from 'chai';
import { checkTopicConfig, overridesOf } from '../../../../src/broker/topics/topic-configs.ts';
import { KafkaError } from '../../../../src/protocol/errors.ts';

describe('settings of a topic', () => {
  for (const name of ['constructor', 'toString', '__proto__', 'retention', '']) {
    it(`has none that is called '${name}'`, () => {
      for (const act of [() => checkTopicConfig(name, '5'), () => overridesOf([{ name, value: null }])]) {
        expect(act).to.throw(KafkaError).with.property('error', 'INVALID_CONFIG');
      }
    });
  }
});
