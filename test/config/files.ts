import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describeFault } from '../../src/config/faults.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';

/** A profile without faults. */
export const PROFILE = `
type: sensor
topic: fleet/{device}/telemetry
decode: json
device: "{device}"
produce: { topic: telemetry }
`.trimStart();

/** A temporary folder with a person's configuration in it. */
export class ConfigFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));

  /** Writes a file, the first line break of its text left away, and returns its path. */
  write(name: string, text: string): string {
    const file = join(this.folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text.replace(/^\n/, ''));
    return file;
  }

  removeFile(name: string): void {
    rmSync(join(this.folder, name));
  }

  /** Loads sluice.yaml of this folder; without `profiles` there is one sound profile. */
  load(
    config: string,
    {
      profiles = { 'sensor.yaml': PROFILE },
      environment = {},
    }: {
      profiles?: Record<string, string>;
      environment?: Record<string, string | undefined>;
    } = {},
  ): LoadedConfig {
    const file = this.write('sluice.yaml', config);
    for (const [name, text] of Object.entries(profiles)) this.write(`devices/${name}`, text);
    return loadConfig(file, environment);
  }

  /** The faults as a person reads them, paths without this folder's. */
  lines({ faults }: LoadedConfig): string[] {
    return faults.map((fault) => describeFault(fault).replaceAll(`${this.folder}/`, ''));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
