import { kafkaName, sharedKafka } from '../../support/kafka/kafka.ts';
import { freshTopicName } from '../../support/kafka/topics.ts';
import { makeKafkaLog } from '../../support/kafka-log.ts';
import { logContract } from '../../support/log-contract.ts';

for (const reader of ['direct', 'kafkajs'] as const) {
  describe(`log contract: ${kafkaName}, reader ${reader}`, () => {
    logContract(async (context) => {
      const kafka = await sharedKafka(context);
      return async () => makeKafkaLog(kafka, freshTopicName('log'), { reader });
    });
  });
}
