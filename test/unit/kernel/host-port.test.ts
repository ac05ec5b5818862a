import { expect } from 'chai';
import { canonicalHostPort } from '../../../src/kernel/host-port.ts';

describe('the one way of writing a host:port', () => {
  for (const [text, canonical] of [
    ['h:1', 'h:1'],
    ['H:1', 'h:1'],
    ['Node-A.Example:08082', 'node-a.example:8082'],
    ['h:80', 'h:80'],
    ['H:00080', 'h:80'],
    ['10.0.0.1:8082', '10.0.0.1:8082'],
    ['[FD00:0:0::1]:8082', '[fd00::1]:8082'],
    ['[0:0:0:0:0:0:0:1]:80', '[::1]:80'],
  ] as const) {
    it(`of ${text} is ${canonical}, which stays as it is`, () => {
      expect(canonicalHostPort(text)).to.equal(canonical);
      expect(canonicalHostPort(canonical)).to.equal(canonical);
    });
  }

  for (const text of ['', 'h', 'h:0', 'h:65536', 'h:1/x', 'user@h:1', '10.0.0.300:1', '::1:80', 'xn--a:80']) {
    it(`is none of ${JSON.stringify(text)}`, () => {
      expect(canonicalHostPort(text)).to.equal(undefined);
    });
  }
});
