import { expect, it } from 'vitest';
import type { OutputFormat } from '../../../src/core/profile/output-spec.ts';
import { envelopeFormat, readEnvelope } from '../../../src/decode/envelope/envelope.ts';
import { RehearsalFolder, messageOf } from '../../features/explain/stage.ts';

it('an envelope says the same in protobuf, JSON and Avro', () => {
  const found = (['protobuf', 'json', 'avro'] as OutputFormat[]).map((format) => {
    const folder = new RehearsalFolder();
    try {
      const file = folder.configure({
        sensor: `
topic: fleet/{device}
decode: json
device: '{device}'
time: { field: t, unit: ms }
sequence: { field: n }
attributes: { site: oslo }
metrics:
  a: { field: a, unit: Cel, range: { max: 1, else: mark } }
  b: { field: b }
  c: { field: c, required: mark }
  d: { field: d, type: integer }
  e: { field: e }
produce: { topic: telemetry, format: ${format} }
`,
      });
      const payload = { t: 1_767_268_800_000, n: 7, a: 2.5, b: 'text', d: 12, e: true };
      const [fate] = folder.rehearsal(file).perform(messageOf('fleet/d-1', payload));
      const { headers, value } = fate!.record!;
      expect(envelopeFormat(new Map(headers).get('content-type'))).toBe(format);
      return readEnvelope(value!, format);
    } finally {
      folder.remove();
    }
  });
  expect(found[0]?.metrics.map(({ name }) => name)).toEqual(['a', 'b', 'd', 'e']);
  expect(found[0]?.missing).toEqual(['c']);
  expect(found[1]).toEqual(found[0]);
  expect(found[2]).toEqual(found[0]);
});

it('an envelope is told by its content type, and one that is broken has a code', () => {
  expect(envelopeFormat('application/json')).toBeUndefined();
  expect(envelopeFormat('application/json; schema=sluice.v1.Telemetry')).toBe('json');
  for (const broken of ['{', '{}', '3']) {
    expect(() => readEnvelope(Buffer.from(broken), 'json')).toThrow(
      expect.objectContaining({ code: 'ENVELOPE_INVALID' }),
    );
  }
});
