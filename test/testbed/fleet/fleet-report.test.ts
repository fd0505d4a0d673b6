import { describe, expect, it } from 'vitest';
import { progressText, summaryJson, summaryText } from '../../../src/testbed/fleet/fleet-report.ts';
import type { FleetSummary } from '../../../src/testbed/fleet/fleet-report.ts';

const latency = { p50Ms: 21.34, p99Ms: 40.06, p999Ms: 55, maxMs: 123.4 };

const summary = (overrides: Partial<FleetSummary> = {}): FleetSummary => ({
  phase: 'ended',
  publishingMs: 30_000,
  devices: 100,
  connected: 100,
  refused: 0,
  sent: 30_000,
  acknowledged: 30_000,
  inFlight: 0,
  waiting: 0,
  missed: 0,
  lostConnections: 0,
  latency,
  trouble: undefined,
  unacknowledged: 0,
  unsent: 0,
  refusals: new Map(),
  complete: true,
  ...overrides,
});

describe('sluice fleet', () => {
  it('sums up what was sent and acknowledged', () => {
    expect(summaryText(summary(), 1)).toBe(
      [
        'Sent          30,000 messages by 100 devices in 30.0 s, 1,000/s',
        'Acknowledged  30,000, all of them (QoS 1)',
        'PUBACK after  p50 21.3 ms  p99 40.1 ms  p99.9 55.0 ms  max 123 ms',
        '',
      ].join('\n'),
    );
  });

  it('says what is missing, was missed, lost and refused', () => {
    const text = summaryText(
      summary({
        acknowledged: 29_990,
        unacknowledged: 10,
        unsent: 5,
        missed: 1200,
        lostConnections: 3,
        refusals: new Map([['Connection refused: Not authorized', 1]]),
      }),
      1,
    );
    expect(text).toContain('Acknowledged  29,990, 10 are missing (QoS 1)');
    expect(text).toContain('Not sent      5 of the messages asked for');
    expect(text).toContain('Missed        1,200 turns');
    expect(text).toContain('Connections   3 lost on the way');
    expect(text).toContain('Refused       1 device: Connection refused: Not authorized');
  });

  it('claims no acknowledgements at QoS 0', () => {
    const none = { p50Ms: undefined, p99Ms: undefined, p999Ms: undefined, maxMs: undefined };
    const text = summaryText(summary({ acknowledged: 0, latency: none }), 0);
    expect(text).toContain('nothing: QoS 0 has no acknowledgements');
    expect(text).not.toContain('PUBACK');
  });

  it('gives machines the same as plain numbers', () => {
    const parsed = JSON.parse(summaryJson(summary({ refusals: new Map([['no', 2]]) }), 1)) as unknown;
    expect(parsed).toMatchObject({ sent: 30_000, qos: 1, latency, refusals: { no: 2 }, complete: true });
  });

  it('shows on its live line what it does, and why devices are not connected', () => {
    const reset = { phase: 'publishing', trouble: 'read ECONNRESET' } as const;
    expect(progressText(summary({ ...reset, inFlight: 21 }), latency, 999.6)).toBe(
      '1,000/s  sent 30,000  acknowledged 30,000  PUBACK p50 21.3 ms p99 40.1 ms  in flight 21',
    );
    expect(progressText(summary({ ...reset, connected: 98 }), latency, 0)).toMatch(
      /^98\/100 devices connected: read ECONNRESET {2}0\/s {2}sent 30,000/,
    );
    const waiting = summary({ phase: 'connecting', connected: 0, trouble: 'connect ECONNREFUSED' });
    expect(progressText(waiting, latency, 0)).toBe('0/100 devices connected: connect ECONNREFUSED');
  });
});
