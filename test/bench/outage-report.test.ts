import { describe, expect, it } from 'vitest';
import type { GatewayFigures } from '../../bench/outage/gateway-figures.ts';
import type { LiveTimes } from '../../bench/outage/live-traffic.ts';
import { outageText, type OutageReport } from '../../bench/outage/outage-report.ts';

const MIB = 2 ** 20;

function figures(seconds: number, journaled: number, residentMib: number): GatewayFigures {
  return {
    atMs: seconds * 1_000,
    cpuMicros: 2 * journaled,
    residentBytes: residentMib * MIB,
    heapBytes: 50 * MIB,
    externalBytes: 20 * MIB,
    journaled,
    syncs: 40 * seconds,
    open: journaled,
    journalBytes: 200 * journaled,
  };
}

function live(p99Ms: number): LiveTimes {
  const times = { count: 1_000, p50Ms: 5, p99Ms, p999Ms: p99Ms, maxMs: p99Ms, missed: 0 };
  return { journal: times, kafka: { ...times, p99Ms: p99Ms + 10 } };
}

const report: OutageReport = {
  fillBegin: figures(0, 0, 200),
  fillEnd: figures(10, 1_000_000, 300),
  filling: {
    sent: 1_000_000,
    acknowledged: 1_000_000,
    elapsedMs: 10_000,
    missed: 0,
    latency: { count: 1_000_000, p50Ms: 90, p99Ms: 300, p999Ms: 400, maxMs: 450 },
  },
  backlog: 1_000_000,
  drainBegin: figures(20, 1_000_000, 300),
  drainEnd: figures(40, 1_000_000, 300),
  before: live(20),
  during: live(30),
  after: live(20),
  // 100 MiB more for each million records, beside those of another time, which don't count.
  samples: [
    figures(-5, 0, 900),
    ...[0, 2, 4, 6, 8, 10].map((at) => figures(at, at * 100_000, 200 + at * 10)),
  ],
  journaled: 1_010_000,
  inKafka: 1_020_000,
};

describe('the report of npm run bench:outage', () => {
  const text = outageText(report);

  it('says what the journal took a second, and what that cost', () => {
    expect(text).toContain('100,000 messages/s, 1,000,000 acknowledged');
    expect(text).toContain('40 fsyncs/s, 200 journal bytes a message');
    expect(text).toContain('PUBACK p50 90 ms, p99 300 ms');
    expect(text).toContain('2.00 us CPU a message');
  });

  it('shows a memory that grows with the backlog', () => {
    expect(text).toContain('MiB a million records: resident 100.00, heap 0.00');
  });

  it('compares the PUBACK times of live devices with normal ones, contract by contract', () => {
    expect(text).toContain('1,000,000 records drained in 20 s, 50,000 a second');
    expect(text).toContain('of normal: journal 1.50x, kafka 1.33x');
  });
});
