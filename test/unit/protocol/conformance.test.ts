import { expect } from 'chai';
import { kafkaErrors } from '../../../src/protocol/errors.ts';
import { includesVersion, type Versions, versionRange } from '../../../src/protocol/schema.ts';
import { type Definition, definedShapes, parseDefinition } from '../../support/protocol/definitions.ts';
import { kafkaOracle, type Oracle } from '../../support/protocol/oracle.ts';
import { isRequest, type Shape, servedMessages, shapesOf, versionsOf } from '../../support/protocol/served.ts';

/** What is served by API key. Produce is advertised from 0 on, and refused below 3. */
const served: Readonly<Record<number, Versions>> = {
  0: '3-11',
  1: '4-17',
  2: '1-10',
  3: '0-12',
  8: '2-9',
  9: '1-9',
  10: '0-6',
  11: '0-9',
  12: '0-4',
  13: '0-5',
  14: '0-5',
  15: '0-6',
  16: '0-5',
  17: '0-1',
  18: '0-4',
  19: '2-7',
  20: '1-6',
  21: '0-2',
  22: '0-5',
  23: '2-4',
  24: '0-3',
  25: '0-4',
  26: '0-4',
  27: '1',
  28: '0-4',
  32: '1-4',
  33: '0-2',
  35: '1-4',
  36: '0-2',
  37: '0-3',
  42: '0-2',
  44: '0-1',
  47: '0',
  48: '0-1',
  49: '0-1',
  60: '0-2',
  61: '0',
  65: '0',
  66: '0-2',
};

describe('served messages', () => {
  it('are those of the table, each with a request and a response of the same versions', () => {
    const ranges = (messages: typeof servedMessages) =>
      Object.fromEntries(messages.map(({ apiKey, versions }) => [apiKey, versions]));
    expect(ranges(servedMessages.filter(isRequest))).to.deep.equal(served);
    expect(ranges(servedMessages.filter((message) => !isRequest(message)))).to.deep.equal(served);
    expect(servedMessages).to.have.length(2 * Object.keys(served).length);
  });

  it('have no array whose elements may have no bytes: a length is checked against the bytes that are there', () => {
    for (const message of servedMessages)
      for (const version of versionsOf(message)) {
        if (includesVersion(message.flexible, version)) continue;
        const walk = (shapes: readonly Shape[], path: string): void => {
          for (const { name, type, fields } of shapes) {
            if (type === '[]struct') expect(fields, `${path}.${name} v${version}`).to.have.length.above(0);
            walk(fields, `${path}.${name}`);
          }
        };
        walk(shapesOf(message, version), message.name);
      }
  });
});

describe('compared with Kafka’s own definitions', () => {
  let oracle: Oracle;
  const definitions = new Map<string, Definition>();

  before(async function () {
    oracle = await kafkaOracle(this);
    const names = servedMessages.map(({ name }) => ({ message: name }));
    for (const { text } of await oracle('definition', names)) {
      const definition = parseDefinition(text);
      definitions.set(definition.name, definition);
    }
  });

  for (const message of servedMessages) {
    it(`${message.name} has the same fields in every version`, () => {
      const definition = definitions.get(message.name)!;
      expect(message.apiKey).to.equal(definition.apiKey);
      const last = versionRange(definition.validVersions).to;
      expect(versionRange(message.versions).from).to.be.at.least(versionRange(definition.validVersions).from);
      expect(versionRange(message.versions).to).to.be.at.most(last);
      for (const version of versionsOf(message)) {
        expect(includesVersion(message.flexible, version), `flexible in version ${version}`).to.equal(
          includesVersion(definition.flexibleVersions, version),
        );
        const [ours, theirs] = [shapesOf(message, version), definedShapes(definition, version)];
        expect(ours, `version ${version}`).to.deep.equal(theirs);
      }
    });
  }

  it('the errors have the same names, codes and answers to whether to try again', async () => {
    const [{ errors } = { errors: [] }] = await oracle('errors', [{}]);
    expect(errors.length).to.be.greaterThan(100);
    const ours = Object.entries(kafkaErrors).map(([name, error]) => ({ name, ...error }));
    expect(ours).to.have.deep.members(errors);
  });
});
