import { expect } from 'chai';
import fc from 'fast-check';
import { RecordError, recordFromJson, recordToJson } from '../../../src/cli/record-json.ts';

const bytes = fc.oneof(
  fc.uint8Array().map((array) => Buffer.from(array)),
  fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text)),
);
const bytesOrNull = fc.option(bytes);

describe('a record in JSON', () => {
  it('comes back byte for byte, whatever its bytes are', () => {
    fc.assert(
      fc.property(
        bytesOrNull,
        bytesOrNull,
        fc.uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), fc.array(bytesOrNull, { minLength: 1 })), {
          selector: ([name]) => name,
        }),
        fc.nat(),
        fc.maxSafeNat(),
        (key, value, headers, partition, timestampMs) => {
          const record = { key, value, headers: new Map(headers), partition, timestampMs };
          const json = recordToJson({ ...record, topic: 'a', offset: 7 });
          expect(json).not.to.include('\n');
          const { headers: back, ...rest } = recordFromJson(json);
          expect(rest).to.deep.equal({ key, value, partition, timestampMs });
          expect(new Map(back)).to.deep.equal(record.headers);
        },
      ),
    );
  });

  it('has text as strings, null as null and other bytes marked as base64', () => {
    const headers = new Map([
      ['a', [Buffer.from('1')]],
      ['__proto__', [Buffer.from([0xff]), null]],
    ]);
    const record = {
      topic: 't',
      partition: 1,
      offset: 2,
      timestampMs: 3,
      key: Buffer.from([0xff]),
      value: null,
      headers,
    };
    expect(recordToJson(record)).to.equal(
      '{"topic":"t","partition":1,"offset":2,"timestamp":3,"key":{"base64":"/w=="},"value":null,' +
        '"headers":{"a":"1","__proto__":[{"base64":"/w=="},null]}}',
    );
  });

  it('needs no more than a value', () => {
    const record = recordFromJson('{"value":"v"}');
    expect(record).to.include({ key: null, partition: undefined, timestampMs: undefined });
    expect([record.value?.toString(), record.headers.size]).to.deep.equal(['v', 0]);
  });

  const mistakes: ReadonlyArray<[text: string, complaint: string]> = [
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['"a"', 'not a JSON object'],
    ['{}', 'no value; null is a tombstone'],
    ['{"value":1}', 'value is not a string'],
    ['{"value":{"x":1}}', 'value is not a string'],
    ['{"value":{"base64":"/w==","x":1}}', 'value is not a string'],
    ['{"value":{"base64":"%"}}', 'value is not base64'],
    ['{"value":"a","key":[]}', 'key is not a string'],
    ['{"value":"a","headers":[]}', 'headers is not an object'],
    ['{"value":"a","headers":{"h":1}}', 'header "h" is not a string'],
    ['{"value":"a","partition":-1}', 'partition is not an integer'],
    ['{"value":"a","partition":2147483648}', 'partition is not an integer'],
    ['{"value":"a","timestamp":"now"}', 'timestamp is not an integer'],
    ['{"value":"a","ttl":1}', 'unknown field "ttl"'],
  ];
  for (const [text, complaint] of mistakes) {
    it(`is not ${text || 'nothing'}: ${complaint}`, () => {
      expect(() => recordFromJson(text)).to.throw(RecordError, complaint);
    });
  }
});
