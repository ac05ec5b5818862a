/** Kafka's own default for a single broker. Until brokers form a cluster there is one. */
export const brokerId = 1;
