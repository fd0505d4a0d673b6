import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readRegistryFile } from '../../src/config/registry-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-registry-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function read(name: string, text: string, key = 'device') {
  const file = join(folder, name);
  await writeFile(file, text);
  const result = readRegistryFile(file, key);
  if ('problem' in result) return result.problem;
  return Object.fromEntries([...result.rows].map(([id, row]) => [id, Object.fromEntries(row)]));
}

describe('a list of devices', () => {
  const expected = {
    'd-1': { device: 'd-1', site: 'Oslo, north', model: 'X "2"' },
    'd-2': { device: 'd-2', site: 'Bergen', model: '' },
  };

  test.each([
    ['CSV', 'a.csv', 'device,site,model\nd-1,"Oslo, north","X ""2"""\nd-2,Bergen,\n'],
    [
      'CSV of a spreadsheet',
      'a.csv',
      '\uFEFFdevice;site;model\r\nd-1;Oslo, north;"X ""2"""\r\n\r\nd-2;Bergen;',
    ],
    [
      'YAML, a list',
      'a.yaml',
      '- { device: d-1, site: "Oslo, north", model: \'X "2"\' }\n- { device: d-2, site: Bergen, model: }\n',
    ],
    [
      'YAML, a map',
      'a.yml',
      'd-1: { site: "Oslo, north", model: \'X "2"\' }\nd-2: { site: Bergen, model: "" }\n',
    ],
  ])('a list of devices is read from %s', async (_name, file, text) => {
    expect(await read(file, text)).toEqual(expected);
  });

  test('a cell in quotes may have line breaks, and the device id another column', async () => {
    expect(await read('a.csv', 'site,imei\n"two\nlines",77\n', 'imei')).toEqual({
      77: { site: 'two\nlines', imei: '77' },
    });
  });

  test('a list of devices may have nobody in it', async () => {
    expect(await read('a.csv', 'device,site\n')).toEqual({});
    expect(await read('a.yaml', '')).toEqual({});
  });

  test.each([
    ['a.csv', '', 'an empty file'],
    ['a.csv', 'device,site\nd-1\n', 'line 2 with 1 columns'],
    ['a.csv', 'device,site\n\nd-1,a\nd-1,b\n', 'line 4 with device "d-1" a second time'],
    ['a.csv', 'site\nOslo\n', 'line 2 without `device`'],
    ['a.csv', 'device,site\nd-1,O"slo\n', 'line 2 with a quote within a cell'],
    ['a.yaml', '- d-1\n', 'entry 1, which is no map'],
    ['a.yaml', 'just text', 'a single value'],
    ['a.yaml', '{', "YAML that can't be read"],
  ])('the list of devices %s with %j is refused with what is wrong', async (file, text, found) => {
    expect((await read(file, text)) as object).toMatchObject({
      found: expect.stringContaining(found) as string,
    });
  });

  test('a list of devices that is not there is refused with its path', () => {
    expect(readRegistryFile(join(folder, 'gone.csv'), 'device')).toMatchObject({
      problem: { found: `no file ${join(folder, 'gone.csv')}` },
    });
  });
});
