import { Cluster } from '../../src/cluster/cluster.ts';
import { Peers, type PeersOptions } from '../../src/cluster/peers.ts';
import { StaticMembership } from '../../src/cluster/static-membership.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import type { Logger } from '../../src/kernel/logger.ts';
import type { Metrics } from '../../src/kernel/metrics.ts';

export const self = { id: 'node.test:8082', instance: 'test-instance' };

/** Look-ups at the nodes of a list, by default at nobody. How they are is not watched. */
export function staticPeers(
  { clock, metrics, logger }: { clock: Clock; metrics: Metrics; logger: Logger },
  { list = [], timeoutMs = 250, valueBytesMax = 1024 }: { list?: readonly string[] } & Partial<PeersOptions> = {},
): { peers: Peers; cluster: Cluster } {
  const membership = new StaticMembership(list);
  void membership.join(self);
  const cluster = new Cluster({ membership, self, clock, logger, metrics });
  const peers = new Peers({ membership, timeoutMs, valueBytesMax, clock, metrics });
  return { peers, cluster };
}
