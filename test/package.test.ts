import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

describe('package-lock.json', () => {
  test('names no registry, so that everybody installs from their own', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved":/);
  });
});

describe('the command', () => {
  const bin = join(root, 'bin', 'sluice.js');

  test('can be run as it is', () => {
    expect(statSync(bin).mode & 0o111).not.toBe(0);
  });

  test('npx sluice in a clone is this clone, not a stranger of that name', () => {
    // The link that npm's `prepare` and the bootstrap make.
    expect(read('node_modules/.bin/sluice')).toBe(read('bin/sluice.js'));
  });

  test('tells its version', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string };
    const { stdout, stderr } = spawnSync(process.execPath, [bin, '--version'], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: `${version}\n`, stderr: '' });
  });

  test('ends with status 1 and a hint when it does not know what to do', () => {
    const { status, stderr } = spawnSync(process.execPath, [bin, 'rum'], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain('Did you mean run?');
  });
});
