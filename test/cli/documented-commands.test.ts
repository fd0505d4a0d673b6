import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { currentPage, PAGES } from '../../scripts/documented-commands.ts';

const root = resolve(import.meta.dirname, '../..');

// `node scripts/documented-commands.ts` writes them anew.
test.each(PAGES)('the commands in %s answer what stands below them', { timeout: 60_000 }, (page) => {
  expect(currentPage(page)).toBe(readFileSync(join(root, page), 'utf8'));
});

interface Ended {
  readonly status: number;
  readonly output: string;
}

function sluice(...args: string[]): Promise<Ended> {
  return new Promise((done) => {
    const main = join(root, 'src/cli/main.ts');
    execFile(process.execPath, [main, ...args], { cwd: root }, (error, stdout, stderr) => {
      done({ status: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

describe('sluice plan', () => {
  const capture = ['plan', '--capture', 'examples/capture.jsonl'];

  it('exits with 0 where nothing changes, with 2 where something does, with 1 where it cannot tell', async () => {
    const [same, other, noFile, noCapture] = await Promise.all([
      sluice(...capture, '--config', 'sluice.yaml'),
      sluice(...capture, '--config', 'sluice.yaml', '--against', './sluice.yaml', '--json'),
      sluice(...capture, '--config', 'none.yaml'),
      sluice('plan', '--capture', 'package.json', '--config', 'sluice.yaml'),
    ]);
    expect(same.status).toBe(0);
    expect(other.status).toBe(0);
    expect(JSON.parse(other.output)).toMatchObject({ messages: 13, changedMessages: 0, groups: [] });
    expect(noFile).toMatchObject({ status: 1, output: expect.stringContaining('none.yaml') as string });
    expect(noCapture).toMatchObject({
      status: 1,
      output: expect.stringContaining('package.json:1') as string,
    });
  });
});

describe('sluice explain', () => {
  it('says what is wrong with what it is asked', async () => {
    const answers = await Promise.all([
      sluice('explain'),
      sluice('explain', '--topic', 'a/#'),
      sluice('explain', '--topic', 'a', '--payload', 'no/such/file'),
      sluice('explain', '--capture', 'examples/capture.jsonl', '--index', '99'),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([1, 1, 1, 1]);
    expect(answers[0].output).toContain('either --topic or --capture');
    expect(answers[1].output).toContain('a topic name without wildcards');
    expect(answers[2].output).toContain("the payload can't be read");
    expect(answers[3].output).toContain('has 13 messages, so there is no message 99');
  });
});
