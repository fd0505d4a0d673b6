import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../src/config/load.ts';
import { keysOf } from '../src/config/key.ts';
import { configSchema } from '../src/config/schema.ts';

const root = resolve(import.meta.dirname, '..');

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
  'bench/README.md',
];

interface Link {
  readonly page: string;
  /** From the root. */
  readonly target: string;
  /** Behind `#`; empty: the whole page. */
  readonly heading: string;
}

/** The links of a page to what is in this repository; code is no link. */
function linksOf(page: string): Link[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(/```[\s\S]*?```|`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(\s*([^)\s]+)\s*\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [path = '', heading = ''] = link.split('#');
      return { page, heading, target: path === '' ? page : normalize(join(dirname(page), path)) };
    });
}

/** What a heading is called in a link, as GitHub does it. */
function headingsOf(page: string): string[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

const links = pages.flatMap(linksOf);

test('every link in the documentation leads somewhere', () => {
  const broken = links.filter(
    ({ target, heading }) =>
      !existsSync(join(root, target)) || (heading !== '' && !headingsOf(target).includes(heading)),
  );
  expect(broken).toEqual([]);
  expect(links.length).toBeGreaterThan(50);
});

test('every page can be found from README.md', () => {
  const found = new Set(['README.md']);
  for (const page of found) {
    for (const { target } of linksOf(page)) {
      const inside = relative(root, join(root, target));
      if (pages.includes(inside)) found.add(inside);
    }
  }
  const lost = pages.filter((page) => !found.has(page));
  expect(lost).toEqual([]);
});

test('the profiles and pieces of sluice.yaml in the documentation are sound', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pages-'));
  try {
    for (const name of ['devices', 'proto'])
      cpSync(join(root, name), join(folder, name), { recursive: true });
    const blocks = pages.flatMap((page) =>
      [...readFileSync(join(root, page), 'utf8').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => {
        return { page, text, firstKey: /^[a-z.]+(?=:)/m.exec(text)?.[0] ?? '' };
      }),
    );
    const profiles = blocks.filter(({ text }) => text.includes('\ntype: '));
    const pieces = blocks.filter(({ firstKey }) => keysOf(configSchema)?.includes(firstKey));
    const faultsOf = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return loadConfig(join(folder, 'sluice.yaml'), {}).faults;
    };
    expect(pieces.length).toBeGreaterThan(5);
    for (const { page, text } of pieces) {
      expect({ page, faults: faultsOf('sluice.yaml', text) }).toEqual({ page, faults: [] });
    }
    expect(profiles.length).toBeGreaterThan(0);
    for (const { page, text } of profiles) {
      expect({ page, faults: faultsOf('devices/env-sensor.yaml', text) }).toEqual({ page, faults: [] });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
