import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const PAGE = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');

describe('the way of a message in ARCHITECTURE.md', () => {
  const steps = [...PAGE.matchAll(/^\| `(\w+)\.(\w+)` +\| (\S+\.ts) +\|/gm)].map(
    ([, name = '', method = '', file = '']) => ({ name, method, file }),
  );

  it.each(steps)('names $name.$method, and $file has it', ({ name, method, file }) => {
    const source = readFileSync(join(ROOT, 'src', file), 'utf8');
    const body = source.slice(source.indexOf(`export class ${name}`));
    expect(source).toContain(`export class ${name}`);
    expect(body).toMatch(new RegExp(`^  (readonly |async )?${method}\\(`, 'm'));
  });

  it('goes from the socket to Kafka and back to the PUBACK', () => {
    expect(steps.length).toBeGreaterThan(15);
    expect(steps[0]).toMatchObject({ name: 'Connection', method: 'receive' });
    expect(steps.at(-1)).toMatchObject({ name: 'AckWriter', method: 'write' });
  });
});

test('every source file that ARCHITECTURE.md names in brackets is there', () => {
  const named = [...PAGE.matchAll(/[( ]((?:[a-z-]+\/)+[\w-]+\.ts)[),;. ]/g)].map(([, path = '']) => path);
  expect(named.length).toBeGreaterThan(5);
  const missing = named.filter(
    (path) => !existsSync(join(ROOT, 'src', path)) && !existsSync(join(ROOT, path)),
  );
  expect(missing).toEqual([]);
});

test('every place that CONTRIBUTING.md names in src is there', () => {
  const page = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8');
  const named = [...page.matchAll(/\bsrc\/[\w./-]+/g)].map(([path]) => path.replace(/[.,;]$/, ''));
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
