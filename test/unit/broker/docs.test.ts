import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Broker } from '../../../src/broker/broker.ts';
import { defaultGroupSettings } from '../../../src/broker/groups/settings.ts';
import { connectionsWithin } from '../../../src/broker/server/descriptor-limit.ts';
import { topicConfigs } from '../../../src/broker/topics/topic-configs.ts';
import { partitionsMax } from '../../../src/broker/topics/topics.ts';
import { brokerOptionsOf } from '../../../src/broker-program.ts';
import { embeddedBrokerConfig } from '../../../src/config/broker-config.ts';
import { brokerFlagOf, brokerOptions } from '../../../src/config/broker-options.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import { createLogger } from '../../../src/kernel/logger.ts';
import { Metrics } from '../../../src/kernel/metrics.ts';
import { apiVersionsResponse } from '../../../src/protocol/messages/api-versions.ts';
import { isRequest, servedMessages } from '../../support/protocol/served.ts';

const page = readFileSync(new URL('../../../docs/BROKER.md', import.meta.url), 'utf8');

describe('docs/BROKER.md', () => {
  let folder: string;
  let broker: Broker;
  const metrics = new Metrics({ process: false });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bitacora-docs-'));
    const config = embeddedBrokerConfig({ brokerPort: 0, dataDir: folder, brokerFlush: 'none', logLevel: 'silent' });
    const logger = createLogger('silent', { terminal: false });
    broker = await Broker.start(brokerOptionsOf(config), { clock: systemClock, logger, metrics });
  });

  after(async () => {
    await broker?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('has every API that ApiVersions tells and no other, in the order of their keys, with their versions', async () => {
    const nameOf = new Map(servedMessages.filter(isRequest).map(({ apiKey, name }) => [apiKey, name]));
    const told = (await apisToldBy(broker)).map(({ apiKey, minVersion, maxVersion }) => ({
      key: String(apiKey),
      name: nameOf.get(apiKey)!.replace(/Request$/, ''),
      versions: minVersion === maxVersion ? String(minVersion) : `${minVersion}–${maxVersion}`,
    }));
    const rows = [...page.matchAll(/^\| (\d+) \| (\w+) \| ([\d–]+) \| /gm)];
    expect(rows.map(([, key, name, versions]) => ({ key, name, versions }))).to.deep.equal(told);
  });

  it('has every metric that there is and no other, with its type', async () => {
    const rows = [...page.matchAll(/^\| `(bitacora_broker_\w+)` \| (\w+) \| /gm)].map(([, name, type]) => ({
      name,
      type,
    }));
    const text = await metrics.text();
    const served = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => ({ name, type }));
    expect(served.length).to.be.greaterThan(5);
    expect(rows).to.have.deep.members(served);
  });

  it('has every setting of a topic and no other, with its default', () => {
    const rows = [...page.matchAll(/^\| `([a-z]+(?:\.[a-z]+)+)` \| `([^`]+)` \| [^|]+ \|$/gm)];
    const settings = Object.entries(topicConfigs).map(([name, { default: preset }]) => ({ name, preset }));
    expect(rows.map(([, name, preset]) => ({ name, preset }))).to.have.deep.members(settings);
  });

  it('names no flag, no variable and no metric that does not exist', async () => {
    const flags = Object.values(brokerOptions).map((option) => `--${brokerFlagOf(option)}`);
    const named = [...page.matchAll(/(?<=^|[ `])--[a-z-]+/gm)].map(([flag]) => flag);
    const ofOtherCommands = ['--format', '--from-beginning', '--exit', '--config', '--help'];
    const ofKafkaTools = ['--deep-iteration', '--files', '--alter', '--add-config', '--entity-type', '--entity-name'];
    const known = [...flags, ...ofOtherCommands, ...ofKafkaTools, '--no-healthcheck'];
    expect(named.length).to.be.greaterThan(10);
    expect(named.filter((flag) => !known.includes(flag))).to.deep.equal([]);

    const configuration = await readFile(new URL('../../../docs/CONFIGURATION.md', import.meta.url), 'utf8');
    for (const [, name] of page.matchAll(/`((?:BROKER|KAFKA|API|DATA|LOG)_[A-Z_]*[A-Z])(?:=\S+)?`/g)) {
      expect(configuration).to.include(`\`${name}\``);
    }
    const text = await metrics.text();
    for (const [, name] of page.matchAll(/`(bitacora_\w+)`/g)) expect(text).to.include(`# TYPE ${name} `);
  });

  it('links to files and headings that are there', () => {
    const links = [...page.matchAll(/\]\(([^)#]*)(?:#([^)]+))?\)/g)];
    expect(links.length).to.be.greaterThan(3);
    for (const [, path, anchor] of links) {
      const text = readFileSync(new URL(`../../../docs/${path || 'BROKER.md'}`, import.meta.url), 'utf8');
      const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
        heading!.toLowerCase().replaceAll(' ', '-'),
      );
      if (anchor !== undefined) expect(headings, path).to.include(anchor);
    }
  });

  it('has the limits that hold', () => {
    const { connectionsMax, requestBytesMax, groupDelayMs, compactionIntervalMs } = brokerOptions;
    expect(page).to.include(`\`--request-bytes-max\`, ${Number(requestBytesMax.default) / 1024 ** 2} MiB |`);
    expect(page).to.include(`\`--connections-max\`, ${Number(connectionsMax.default).toLocaleString('en-US')} |`);
    expect(page).to.include(`\`--group-delay-ms\`, ${groupDelayMs.default} |`);
    expect(page).to.include(`\`--compaction-interval-ms\` (${Number(compactionIntervalMs.default) / 1000} s)`);
    const openFiles = connectionsWithin(4_096, Number(connectionsMax.default)).toLocaleString('en-US');
    expect(page).to.include(`with \`ulimit -n 4096\` there are at most ${openFiles}.`);
    expect(page).to.include(`partitions of all topics | ${partitionsMax.toLocaleString('en-US')} |`);
    const { sessionTimeoutMinMs, sessionTimeoutMaxMs, newMemberJoinTimeoutMs } = defaultGroupSettings;
    expect(page).to.include(`| ${sessionTimeoutMinMs / 1000} s to ${sessionTimeoutMaxMs / 60_000} min |`);
    expect(page).to.include(`first answer | ${newMemberJoinTimeoutMs / 60_000} min |`);
    const { offsetsRetentionMs, offsetsRetentionCheckMs, offsetMetadataCharactersMax } = defaultGroupSettings;
    const kept = `${offsetsRetentionMs / 86_400_000} days, looked at every ${offsetsRetentionCheckMs / 60_000} min`;
    expect(page).to.include(`| ${kept} |`);
    expect(page).to.include(`| ${offsetMetadataCharactersMax.toLocaleString('en-US')} characters |`);
  });

  it('shows a metadata.json with the fields that the broker writes', async () => {
    const [, shown] = /```json\n(.+?)\n```/s.exec(page)!;
    const written = await readFile(join(folder, 'log', 'metadata.json'), 'utf8');
    const fieldsOf = (text: string): Record<string, unknown> => JSON.parse(text);
    expect(fieldsOf(written)).to.include.keys(Object.keys(fieldsOf(shown!)));
    const [topic] = fieldsOf(shown!).topics as object[];
    const [offsets] = fieldsOf(written).topics as object[];
    expect(topic).to.deep.equal({ ...offsets, id: (topic as { id: string }).id });
  });
});

/** By their keys. */
async function apisToldBy(broker: Broker) {
  const socket = connect(broker.listeners[0]!.advertisedPort, '127.0.0.1');
  try {
    // ApiVersions 0, correlation id 0, no client id.
    socket.write(Buffer.from('0000000a0012000000000000ffff', 'hex'));
    let frame = Buffer.alloc(0);
    for await (const chunk of socket) {
      frame = Buffer.concat([frame, chunk as Buffer]);
      if (frame.length >= 4 && frame.length === 4 + frame.readInt32BE(0)) break;
    }
    return apiVersionsResponse.decode(frame.subarray(8), 0).apiKeys;
  } finally {
    socket.destroy();
  }
}
