import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type OwnKafka, onKafkaOnly, ownKafka } from '../support/kafka/kafka.ts';
import { freePort } from '../support/kafka/ports.ts';
import { freshTopicName } from '../support/kafka/topics.ts';
import { NodeProcess } from '../support/node-process.ts';

const run = promisify(execFile);
const storePassword = 'store-password';

/** A key pair with a self-signed certificate for 127.0.0.1, in a store that Kafka reads, and the certificate as PEM. */
async function makeCertificate(folder: string): Promise<{ keystore: string; certificate: string }> {
  const keystore = join(folder, 'server.p12');
  const certificate = join(folder, 'server.pem');
  const common = ['-keystore', keystore, '-storetype', 'PKCS12', '-storepass', storePassword, '-alias', 'server'];
  const subject = ['-dname', 'CN=127.0.0.1', '-ext', 'san=ip:127.0.0.1', '-validity', '2'];
  await run('keytool', ['-genkeypair', '-keyalg', 'EC', ...common, ...subject]);
  await run('keytool', ['-exportcert', '-rfc', ...common, '-file', certificate]);
  return { keystore, certificate };
}

describe('a Kafka that asks for TLS and a login', () => {
  let kafka: OwnKafka;
  let folder: string | undefined;
  let secure: Record<string, string>;
  const nodes: NodeProcess[] = [];

  before(async function () {
    this.timeout(300_000);
    // The embedded broker's own is test/integration/broker/security.test.ts.
    onKafkaOnly(this);
    folder = await mkdtemp(join(tmpdir(), 'bitacora-tls-'));
    const [port, securePort, controllerPort] = [await freePort(), await freePort(), await freePort()];
    const { keystore, certificate } = await makeCertificate(folder);
    const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="open sesame";';
    kafka = await ownKafka(this, {
      port,
      settings: {
        listeners: `PLAINTEXT://127.0.0.1:${port},SECURE://127.0.0.1:${securePort},CONTROLLER://127.0.0.1:${controllerPort}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},SECURE://127.0.0.1:${securePort}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT',
        'inter.broker.listener.name': 'PLAINTEXT',
        'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
        'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.secure.plain.sasl.jaas.config': login,
        'ssl.keystore.location': keystore,
        'ssl.keystore.type': 'PKCS12',
        'ssl.keystore.password': storePassword,
      },
    });
    secure = {
      BROKER_LIST: `127.0.0.1:${securePort}`,
      KAFKA_SSL: 'true',
      KAFKA_SSL_CA_FILE: certificate,
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: 'alice',
      KAFKA_SASL_PASSWORD: 'open sesame',
    };
  });

  after(async () => {
    await kafka?.stop();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.kill()));
  });

  async function start(environment: Record<string, string>): Promise<NodeProcess> {
    const node = await NodeProcess.start({ ...secure, KAFKA_TOPIC: freshTopicName('secure'), ...environment });
    nodes.push(node);
    return node;
  }

  it('is served with the right credentials', async () => {
    const node = await (await start({})).ready();
    expect((await node.fetch('/rpc?key=a&value=1', { method: 'POST' })).status).to.equal(200);
    expect(await (await node.fetch('/rpc?key=a')).json()).to.include({ value: '1' });
  });

  it('ends the start with one line when the password is wrong, and does not show it', async () => {
    const node = await start({ KAFKA_SASL_PASSWORD: 'wrong-password' });
    expect(await node.exited).to.equal(1);
    expect(node.output.match(/^bitacora: Kafka refused .*Invalid username or password/gm)).to.have.length(1);
    expect(node.output).not.to.include('wrong-password');
  });

  it('ends the start with one line when it does not trust the certificate', async () => {
    const node = await start({ KAFKA_SSL_CA_FILE: '' });
    expect(await node.exited).to.equal(1);
    expect(node.output.match(/^bitacora: Kafka refused .*certificate/gm)).to.have.length(1);
  });
});
