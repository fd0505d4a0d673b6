import { existsSync, readdirSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { errorMessage } from '../core/errors.ts';
import type { ConfigFault, KeyFault } from '../core/fault.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { replyKey, replyProfiles } from './commands.ts';
import { toConfig, type SluiceConfig } from './config.ts';
import { configFaults, profileFaults } from './cross-faults.ts';
import { overlayEnvironment } from './environment.ts';
import { parseDocument } from './faults.ts';
import { isPrefix, isSecret, keyText } from './key.ts';
import { profileSchema, toProfile } from './profile/profile-schema.ts';
import { configSchema, type ConfigDocument } from './schema.ts';
import { readYamlFile, type YamlFile } from './yaml-file.ts';

export interface LoadedConfig {
  /** The configuration file as the person knows it. */
  readonly file: string;
  /** Complete even where there are faults: a faulty key holds its default. Not to be run then. */
  readonly config: SluiceConfig;
  /** The same under the keys of the file, the environment included; to be compared. May hold secrets. */
  readonly document: ConfigDocument;
  /** Sorted by file. Those with faults are here too, if enough of them is sound to look for more. */
  readonly profiles: readonly DeviceProfile[];
  /** Everything that is wrong, in the order of files and lines; empty: all is well. */
  readonly faults: readonly ConfigFault[];
  /** Gives a fault that a later stage found its file and line: in the profile, or else in sluice.yaml. */
  locate(fault: KeyFault, profile?: DeviceProfile): ConfigFault;
  /** Faults, also those of later stages, in the order of files and lines. */
  inOrder(faults: readonly ConfigFault[]): ConfigFault[];
}

const DEFAULT_FILE = 'sluice.yaml';
/** The configuration that comes with Sluice; the same place seen from src/config and from dist/config. */
const SHIPPED_FILE = resolve(import.meta.dirname, '../..', DEFAULT_FILE);

/**
 * Loads sluice.yaml, the environment's SLUICE_ variables over it, and the device profiles. Without a `file`:
 * sluice.yaml of the working directory, or else the one that comes with Sluice. Never throws for what a
 * person wrote: every fault is in `faults`.
 */
export function loadConfig(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): LoadedConfig {
  const chosen = file ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : SHIPPED_FILE);
  const yaml = readYamlFile(chosen);
  const faults = [...yaml.faults];
  if (isEmpty(yaml)) faults.push(emptyFile(chosen, 'a configuration, e.g. profiles: devices'));

  const overlay = overlayEnvironment(configSchema, yaml.data, environment);
  faults.push(...overlay.faults);
  const locateKey = (fault: KeyFault): ConfigFault => {
    const variable = overlay.variables.find(({ path }) => isPrefix(path, fault.path));
    return variable === undefined
      ? located(fault, yaml)
      : { ...located(fault, yaml), file: 'environment', line: 0, key: variable.name };
  };
  const { value, faults: keyFaults } = parseDocument(configSchema, overlay.data);
  // All keys have defaults, so only a root that is no map leaves nothing.
  const document = value ?? configSchema.parse({});
  faults.push(...keyFaults.map(locateKey));

  const profilesDir = isAbsolute(document.profiles)
    ? document.profiles
    : join(dirname(chosen), document.profiles);
  // What the shipped file starts belongs to whom it is started for, not into the installation.
  const dataBase = chosen === SHIPPED_FILE ? process.cwd() : dirname(chosen);
  const config = toConfig(document, { file: dirname(chosen), data: dataBase }, profilesDir);
  const faulty = keyFaults.map(({ path }) => path);
  faults.push(...configFaults(document, config, faulty).map(locateKey));

  const folder = loadProfiles(profilesDir);
  if ('problem' in folder) {
    // Of a file that can't be read, or a key that is wrong, the folder is only our guess.
    if (yaml.data !== undefined && faulty.every(([first]) => first !== 'profiles')) {
      faults.push(
        locateKey({
          path: ['profiles'],
          found: folder.problem,
          expected: 'a folder with device profiles, *.yaml',
        }),
      );
    }
  } else {
    faults.push(...folder.faults);
  }
  const files = 'problem' in folder ? [] : folder.files;

  const inOrder = (unsorted: readonly ConfigFault[]): ConfigFault[] =>
    unsorted.toSorted(byPlace([chosen, ...files.map(({ file }) => file)]));

  return {
    file: chosen,
    config,
    document,
    profiles: [...('problem' in folder ? [] : folder.profiles), ...replyProfiles(config.commands, chosen)],
    faults: inOrder(faults),
    inOrder,
    locate(fault, profile) {
      const yaml = files.find((candidate) => candidate.file === profile?.file);
      if (yaml !== undefined) return located(fault, yaml);
      const reply = profile && replyKey(config.commands, profile);
      if (reply !== undefined) return locateKey({ ...fault, path: reply });
      // Another stage's words about a value: it doesn't know which values are secrets.
      return locateKey(isSecret(fault.path) ? { ...fault, found: 'a value (hidden)' } : fault);
    },
  };
}

function loadProfiles(
  folder: string,
):
  | { readonly problem: string }
  | { readonly profiles: DeviceProfile[]; readonly files: YamlFile[]; readonly faults: ConfigFault[] } {
  let names: string[];
  try {
    names = readdirSync(folder)
      .filter((name) => /\.ya?ml$/i.test(name))
      .sort();
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return { problem: missing ? `no folder ${folder}` : errorMessage(error) };
  }
  if (names.length === 0) return { problem: `no *.yaml in ${folder}` };

  const profiles: DeviceProfile[] = [];
  const files: YamlFile[] = [];
  const faults: ConfigFault[] = [];
  for (const name of names) {
    const yaml = readYamlFile(join(folder, name));
    files.push(yaml);
    faults.push(...yaml.faults);
    if (isEmpty(yaml)) faults.push(emptyFile(yaml.file, 'a device profile'));
    if (yaml.data === undefined || yaml.data === null) continue;
    const parsed = parseDocument(profileSchema, yaml.data);
    faults.push(...parsed.faults.map((fault) => located(fault, yaml)));
    if (parsed.value === undefined) continue;
    const profile = toProfile(parsed.value, yaml.file);
    faults.push(...profileFaults(profile, profiles).map((fault) => located(fault, yaml)));
    profiles.push(profile);
  }
  return { profiles, files, faults };
}

function located(fault: KeyFault, yaml: YamlFile): ConfigFault {
  return {
    file: yaml.file,
    line: yaml.lineOf(fault.path),
    key: keyText(fault.path),
    found: fault.found,
    expected: fault.expected,
  };
}

/** A file of nothing, or of comments alone. */
function isEmpty({ faults, data }: YamlFile): boolean {
  return faults.length === 0 && (data === undefined || data === null);
}

function emptyFile(file: string, expected: string): ConfigFault {
  return { file, line: 0, key: '', found: 'an empty file', expected };
}

/** In the order of the files, then of the lines; the environment comes last. */
function byPlace(files: readonly string[]): (a: ConfigFault, b: ConfigFault) => number {
  const rank = ({ file }: ConfigFault): number => (files.includes(file) ? files.indexOf(file) : files.length);
  return (a, b) => rank(a) - rank(b) || a.line - b.line;
}
