import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { connectionsWithin } from '../../../../src/broker/server/descriptor-limit.ts';
import { onLinuxOnly } from '../../../support/broker/process-use.ts';

const source = fileURLToPath(new URL('../../../../src/broker/server/descriptor-limit.ts', import.meta.url));

describe('the limit of open files', () => {
  it('leaves descriptors for files, and one for a client at least', () => {
    expect(connectionsWithin(undefined, 10_000)).to.equal(10_000);
    expect(connectionsWithin(1_048_576, 10_000)).to.equal(10_000);
    expect(connectionsWithin(4_096, 10_000)).to.equal(3_072);
    expect(connectionsWithin(100, 10_000)).to.equal(36);
    expect(connectionsWithin(100, 5)).to.equal(5);
    expect(connectionsWithin(10, 10_000)).to.equal(1);
  });

  it('is what the system says of the process', async function () {
    onLinuxOnly(this);
    const script = `import(${JSON.stringify(source)}).then(({ descriptorLimit }) => console.log(descriptorLimit()))`;
    const node = `exec "${process.execPath}" --import tsx -e '${script}'`;
    const { stdout } = await promisify(execFile)('sh', ['-c', `ulimit -n 300 && ${node}`]);
    expect(stdout).to.equal('300\n');
  });
});
