import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { CONTRACTS, CONTRACT_NAMES, contractsThat } from '../../src/core/contract.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The rows of the first table of a page whose first column is `ack:`, cell by cell; Markdown's back-ticks are kept. */
function tableOf(page: string): string[][] {
  const lines = readFileSync(join(ROOT, page), 'utf8').split('\n');
  const head = lines.findIndex((line) => /^\| (contract \()?`ack:`/.test(line));
  const rows = lines.slice(head + 2);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

describe.each(['docs/contracts.md', 'ARCHITECTURE.md'])('%s', (page) => {
  const rows = tableOf(page);

  it('has a row for each contract, and for nothing else', () => {
    expect(rows.map(([name]) => name?.replace(' (default)', ''))).toEqual(
      CONTRACT_NAMES.map((name) => `\`${name}\``),
    );
  });

  it.each(CONTRACT_NAMES)(
    'says of %s in the words of the program when a device is acknowledged, and what can be lost',
    (name) => {
      const [, acknowledged, lost] = rows[CONTRACT_NAMES.indexOf(name)]!;
      expect(acknowledged).toMatch(new RegExp(`^${CONTRACTS[name].acknowledgedWhen}`));
      expect(lost).toMatch(new RegExp(`^${CONTRACTS[name].canLose}`));
    },
  );
});

test('README.md has a row for each contract too', () => {
  expect(tableOf('README.md').map(([name]) => name?.replace(' (default)', ''))).toEqual(
    CONTRACT_NAMES.map((name) => `\`${name}\``),
  );
});

test('a contract stands under its own name', () => {
  for (const [key, { name }] of Object.entries(CONTRACTS)) expect(name).toBe(key);
});

test('what acknowledges on receipt waits for no disk, and what prefers Kafka has a disk to fall back on', () => {
  expect(contractsThat(({ onReceipt, needsJournal }) => onReceipt && needsJournal)).toEqual([]);
  expect(contractsThat(({ kafkaFirst, needsJournal }) => kafkaFirst && !needsJournal)).toEqual([]);
});
