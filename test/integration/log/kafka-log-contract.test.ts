import { kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { makeKafkaLog } from '../../support/kafka-log.ts';
import { logContract } from '../../support/log-contract.ts';

describe(`log contract: ${kafkaName}`, () => {
  logContract(async (context) => {
    const kafka = await sharedKafka(context);
    return async () => makeKafkaLog(kafka, freshTopicName('log'));
  });
});
