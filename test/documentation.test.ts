import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

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
