import { describe, expect, it } from 'vitest';
import {
  fetchApiVersions,
  NegotiatedVersions,
  type ApiVersion,
} from '../../../src/kafka/protocol/api-versions.ts';
import { int16, int32 } from '../../../src/kafka/protocol/protocol-bytes.ts';

const versions = (ranges: readonly (readonly [key: number, least: number, most: number])[]) =>
  new NegotiatedVersions('old:9092', new Map(ranges.map(([key, least, most]) => [key, [least, most]])));

describe('the versions that a broker and we speak', () => {
  it('are the newest that both know, in the form that the version has', () => {
    const current = versions([
      [0, 3, 13],
      [3, 0, 13],
      [22, 0, 6],
    ]);
    expect(current.of('produce')).toEqual({ key: 0, version: 12, requestTags: true, responseTags: true });
    expect(current.of('initProducerId').version).toBe(4);
    const old = versions([
      [0, 0, 8],
      [3, 0, 8],
      [22, 0, 3],
    ]);
    expect(old.of('produce')).toEqual({ key: 0, version: 8, requestTags: false, responseTags: false });
    expect(old.of('metadata')).toEqual({ key: 3, version: 8, requestTags: false, responseTags: false });
    expect(old.of('initProducerId')).toEqual({ key: 22, version: 3, requestTags: true, responseTags: true });
  });

  it("name the broker's release where there is none", () => {
    expect(() => versions([[0, 0, 6]]).of('produce')).toThrow(
      'broker old:9092 seems to be Kafka 2.0 (Produce in versions 0 to 6; we speak 7 to 12): Kafka 2.1 or newer',
    );
    const withoutIdempotence = versions([
      [0, 0, 8],
      [22, 0, 1],
    ]);
    expect(() => withoutIdempotence.of('initProducerId')).toThrow(
      /Kafka 2\.4 .* idempotence needs Kafka 2\.5/,
    );
  });

  it('are also asked of brokers that do not know the question in its present form', async () => {
    const asked: ApiVersion[] = [];
    const unsupported = Buffer.concat([int16(35), int32(0)]);
    const answer = Buffer.concat([int16(0), int32(1), int16(0), int16(0), int16(7)]);
    const wire = {
      request: (api: ApiVersion) => {
        asked.push(api);
        return Promise.resolve(asked.length === 1 ? unsupported : answer);
      },
    };
    const negotiated = await fetchApiVersions(wire, 'old:9092');
    expect(asked.map(({ version, requestTags }) => [version, requestTags])).toEqual([
      [3, true],
      [0, false],
    ]);
    expect(negotiated.of('produce').version).toBe(7);
    expect(negotiated.release).toBe('2.1');
  });
});
