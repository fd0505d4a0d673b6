import { defineConfig } from 'vitest/config';

// With `npm run test:faults`: the numbers of each trial, as a table.
const { FAULT_REPORT: faultReport, FAULT_RECORDS: manyRecords } = process.env;

/**
 * unit: no network beyond loopback sockets of their own, no Kafka; as parallel as the machine allows.
 * integration: against one real Kafka that all files share.
 * fault: Kafkas and gateways of their own that are killed, stopped and restarted, and mostly waited for: three files
 * at a time.
 * The projects run one after the other, so that a unit test's timing never depends on a broker's appetite.
 */
export default defineConfig({
  test: {
    reporters: [
      'default',
      './test/support/conformance-reporter.ts',
      ...(faultReport === undefined ? [] : ['./test/support/fault-reporter.ts']),
    ],
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles: 'test/support/property-seed.ts',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/fault/**'],
          sequence: { groupOrder: 0 },
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'integration',
          setupFiles: 'test/support/property-seed.ts',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: 'test/support/shared-kafka-setup.ts',
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'fault',
          setupFiles: 'test/support/property-seed.ts',
          include: ['test/fault/**/*.test.ts'],
          sequence: { groupOrder: 2 },
          maxWorkers: 3,
          testTimeout: manyRecords === undefined ? 180_000 : 900_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
