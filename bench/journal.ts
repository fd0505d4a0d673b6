/**
 * What the journal takes: records of 100 bytes appended as fast as it lets us, then paced, on a real disk.
 * `node bench/journal.ts [directory] [seconds]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/core/clock.ts';
import { silentLogger } from '../src/core/logger.ts';
import { NO_HEADERS } from '../src/core/record.ts';
import { Journal } from '../src/journal/journal.ts';
import { emptyJournalRecord } from '../src/journal/journal-record.ts';
import type { JournalSettings } from '../src/journal/settings.ts';

process.env.SLUICE_BENCH_KEY ??= '0'.repeat(64);

const base = process.argv[2] ?? tmpdir();
const seconds = Number(process.argv[3] ?? 4);
const VALUE_BYTES = 100;

interface Row {
  readonly name: string;
  readonly recordsPerSecond: number;
  readonly syncsPerSecond: number;
  readonly cpuMicros: number;
  readonly loopCpuMicros: number;
  readonly p50: number;
  readonly p99: number;
}

/** `pace`: records a second; undefined as many as fit. */
async function measure(
  name: string,
  pace: number | undefined,
  extra: Partial<JournalSettings>,
): Promise<Row> {
  const directory = mkdtempSync(join(base, 'sluice-bench-'));
  const journal = await Journal.open({
    settings: { directories: [directory], ...extra },
    clock: systemClock,
    logger: silentLogger,
  });
  const record = {
    topic: 'telemetry',
    key: Buffer.from('device-0000'),
    value: Buffer.alloc(VALUE_BYTES, 7),
    timestampMs: Date.now(),
    headers: NO_HEADERS,
  };
  const meta = {
    account: 'env-sensor',
    clientId: 'device-0000',
    packetId: 1,
    qos: 1 as const,
    publicationNumber: 0,
  };
  const sentAt: number[] = [];
  const waits: number[] = [];
  const target = {
    recordJournaled(token: number) {
      if (token >= 0) waits.push(performance.now() - (sentAt[token] as number));
    },
  };
  let appended = 0;
  const append = () => {
    // Every hundredth is timed: the measurement must not become the load.
    const timed = appended % 100 === 0;
    if (timed) sentAt.push(performance.now());
    const refusal = journal.append(record, meta, target, timed ? sentAt.length - 1 : -1);
    if (refusal === undefined) appended++;
    else if (timed) sentAt.pop();
    return refusal;
  };

  const cpuBefore = process.cpuUsage();
  const loopBefore = performance.eventLoopUtilization();
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  await new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      const nowMs = performance.now();
      if (nowMs >= endMs) {
        resolve();
        return;
      }
      const due = pace === undefined ? 2_000 : Math.floor(((nowMs - startMs) / 1000) * pace) - appended;
      for (let count = 0; count < due; count++) {
        const refusal = append();
        if (refusal === undefined) continue;
        if (refusal instanceof Error) reject(refusal);
        else refusal.wait(() => setImmediate(turn));
        return;
      }
      if (pace === undefined) setImmediate(turn);
      else setTimeout(turn, 1);
    };
    turn();
  });
  await journal.flush();
  const elapsedMs = performance.now() - startMs;
  const cpu = process.cpuUsage(cpuBefore);
  const loop = performance.eventLoopUtilization(loopBefore);
  const { journaledRecords, syncs } = journal.stats;
  waits.sort((a, b) => a - b);
  const row: Row = {
    name,
    recordsPerSecond: (journaledRecords / elapsedMs) * 1000,
    syncsPerSecond: (syncs / elapsedMs) * 1000,
    cpuMicros: (cpu.user + cpu.system) / journaledRecords,
    loopCpuMicros: (loop.active * 1000) / journaledRecords,
    p50: waits[Math.floor(waits.length * 0.5)] ?? Number.NaN,
    p99: waits[Math.floor(waits.length * 0.99)] ?? Number.NaN,
  };
  if (pace === undefined) await drain(journal, name);
  await journal.close();
  rmSync(directory, { recursive: true });
  return row;
}

async function drain(journal: Journal, name: string): Promise<void> {
  const reader = journal.openReader();
  const record = emptyJournalRecord();
  let records = 0;
  const startMs = performance.now();
  for (let batch; (batch = await reader.next()) !== undefined;) {
    while (batch.next(record)) {
      journal.acknowledge(record.position);
      records++;
    }
  }
  const perSecond = (records / (performance.now() - startMs)) * 1000;
  console.log(`${name}: read back and acknowledged ${Math.round(perSecond).toLocaleString('en')} records/s`);
}

const rows = [
  await measure('as fast as it goes', undefined, {}),
  await measure('as fast as it goes, sealed', undefined, { key: { environment: 'SLUICE_BENCH_KEY' } }),
  await measure('100,000/s', 100_000, {}),
  await measure('1,000/s', 1_000, {}),
];
console.log(
  ['', 'records/s', 'fsyncs/s', 'CPU us/rec', 'loop us/rec', 'p50 ms', 'p99 ms']
    .map((title, index) => (index === 0 ? title.padEnd(28) : title.padStart(12)))
    .join(''),
);
for (const row of rows) {
  const figures = [
    Math.round(row.recordsPerSecond).toLocaleString('en'),
    row.syncsPerSecond.toFixed(0),
    row.cpuMicros.toFixed(2),
    row.loopCpuMicros.toFixed(2),
    row.p50.toFixed(1),
    row.p99.toFixed(1),
  ];
  console.log(row.name.padEnd(28) + figures.map((figure) => figure.padStart(12)).join(''));
}
