export type ServerSettings = Record<string, string>;

interface Listeners {
  listenHost: string;
  advertisedHost: string;
  port: number;
  controllerPort: number;
}

/** Settings of a single server that is broker and controller at once, tuned for short test runs. */
export function serverSettings({ listenHost, advertisedHost, port, controllerPort }: Listeners): ServerSettings {
  return {
    'node.id': '1',
    'process.roles': 'broker,controller',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://${listenHost}:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${advertisedHost}:${port}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',

    // A test that misspells a topic should fail, not get an empty one.
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': '0',

    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',

    // Compaction soon after a segment is rolled, with a buffer that fits the small heap.
    'log.cleaner.backoff.ms': '200',
    'log.cleaner.dedupe.buffer.size': '8388608',
  };
}
