import { describe, expect, it } from 'vitest';
import { TailLines } from '../../../src/features/tail/tail-lines.ts';
import type { RecordContent, TailedRecord } from '../../../src/features/tail/tail-record.ts';
import type { Telemetry } from '../../../src/decode/envelope/envelope.ts';

const noon = new Date(2026, 10, 23, 12, 0, 0, 7).getTime();

const record = (overrides: Partial<TailedRecord> = {}): TailedRecord => ({
  topic: 'telemetry',
  partition: 0,
  offset: '0',
  timestampMs: noon,
  key: Buffer.from('dev-1'),
  value: null,
  headers: new Map(),
  ...overrides,
});

function telemetry(overrides: Partial<Telemetry> = {}): RecordContent {
  return {
    kind: 'telemetry',
    telemetry: {
      deviceId: 'dev-1',
      deviceType: 'env-sensor',
      attributes: new Map([['site', 'oslo']]),
      observedAtMs: noon,
      receivedAtMs: noon,
      sequence: 7,
      metrics: [
        { name: 'temperature', unit: 'Cel', value: 21.5 },
        { name: 'humidity', unit: '%', value: 48 },
      ],
      ...overrides,
    },
  };
}

const plain = (showTopic = false): TailLines =>
  new TailLines({ colours: false, showTopic, nowMs: () => noon });

describe('sluice tail', () => {
  it('shows time, device, type, sequence, metrics with units, and attributes', () => {
    expect(plain().line(record(), telemetry())).toBe(
      '12:00:00.007  dev-1  env-sensor  #7  temperature 21.5 °C  humidity 48 %  site=oslo\n',
    );
  });

  it('keeps its columns aligned', () => {
    const lines = plain();
    lines.line(record(), telemetry({ deviceId: 'a-longer-device', sequence: 1234 }));
    lines.line(record(), telemetry({ metrics: [{ name: 'temperature', unit: 'Cel', value: -12.345 }] }));
    expect(lines.line(record(), telemetry())).toBe(
      '12:00:00.007  dev-1            env-sensor  #7     temperature 21.5 °C     humidity 48 %  site=oslo\n',
    );
  });

  it('shows the date of a record that is not of today, and the topic when there are several', () => {
    const old = record({ timestampMs: new Date(2026, 0, 5, 1, 2, 3, 4).getTime() });
    expect(plain(true).line(old, telemetry())).toMatch(/^2026-01-05 01:02:03\.004 {2}telemetry {2}dev-1 /);
  });

  it('does not show digits that come from rounding, but all of an integer', () => {
    const metrics = [Math.fround(21.43), 21.43, 0.1 + 0.2, 123_456_789, 2n ** 63n].map((value, i) => ({
      name: `m${i}`,
      unit: undefined,
      value,
    }));
    expect(plain().line(record(), telemetry({ metrics }))).toContain(
      'm0 21.43  m1 21.43  m2 0.3  m3 123456789  m4 9223372036854775808',
    );
  });

  it('shows a dead letter with its topic, reason and bytes', () => {
    const content: RecordContent = {
      kind: 'dead-letter',
      code: 'DECODE_FAILED',
      reason: 'invalid wire type 7',
      mqttTopic: 'fleet/oslo/dev-1/telemetry',
    };
    expect(plain().line(record({ value: Buffer.from([0xff, 0]) }), content)).toBe(
      '12:00:00.007  dead letter  fleet/oslo/dev-1/telemetry  DECODE_FAILED: invalid wire type 7  2 bytes ff00\n',
    );
  });

  it('shows text, bytes and tombstones by their key', () => {
    const text = record({ value: Buffer.from('{"a":1}') });
    expect(plain().line(text, { kind: 'text', text: '{"a":1}' })).toBe('12:00:00.007  dev-1  {"a":1}\n');
    const bytes = record({ key: null, value: Buffer.alloc(100, 0xab) });
    expect(plain().line(bytes, { kind: 'bytes' })).toBe(`12:00:00.007  -  100 bytes ${'ab'.repeat(24)}…\n`);
    expect(plain().line(record(), { kind: 'tombstone' })).toBe('12:00:00.007  dev-1  no value (tombstone)\n');
  });

  it('lets no device steer the terminal', () => {
    const nasty = '\u001b[2Jgone\r\n\u009b31m';
    const shown = plain().line(
      record(),
      telemetry({
        deviceId: nasty,
        attributes: new Map([[nasty, nasty]]),
        metrics: [{ name: nasty, unit: nasty, value: nasty }],
      }),
    );
    // eslint-disable-next-line no-control-regex -- what must not be there
    expect(shown.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    const dead: RecordContent = { kind: 'dead-letter', code: 'X', reason: nasty, mqttTopic: nasty };
    // eslint-disable-next-line no-control-regex -- what must not be there
    expect(plain().line(record(), dead).slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });

  it('uses colours only when it is told to', () => {
    const colourful = new TailLines({ colours: true, showTopic: false, nowMs: () => noon });
    expect(colourful.line(record(), telemetry())).toContain('\u001b[');
    expect(plain().line(record(), telemetry())).not.toContain('\u001b[');
  });
});
