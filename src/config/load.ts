import { existsSync, readdirSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { errorMessage, isMissing } from '../core/errors.ts';
import type { ConfigFault, KeyFault } from '../core/fault.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { replyKey, replyProfiles } from './commands.ts';
import { toConfig, type SluiceConfig } from './config.ts';
import { configFaults, profileFaults } from './cross-faults.ts';
import { overlayEnvironment, type Environment } from './environment.ts';
import { parseDocument } from './faults.ts';
import { isPrefix, isSecret, keyText, valueAt, type KeyPath } from './key.ts';
import { profileSchema, toProfile, type ProfileDocument } from './profile/profile-schema.ts';
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
  /**
   * Where the value of a key comes from, in the profile or else in the configuration: `sluice.yaml:12`, or the name of
   * a variable; undefined: it is the default.
   */
  originOf(path: KeyPath, profile?: DeviceProfile): string | undefined;
  /** A profile under the keys of its file; undefined: it has none, see commands.ts. */
  documentOf(profile: DeviceProfile): ProfileDocument | undefined;
}

const DEFAULT_FILE = 'sluice.yaml';
/** The configuration that comes with Sluice; the same place seen from src/config and from dist/config. */
const SHIPPED_FILE = resolve(import.meta.dirname, '../..', DEFAULT_FILE);

/**
 * Loads sluice.yaml, the environment's SLUICE_ variables over it, and the device profiles. Without a `file`:
 * sluice.yaml of the working directory, or else the one that comes with Sluice. Never throws for what a
 * person wrote: every fault is in `faults`.
 */
export function loadConfig(file: string | undefined, environment: Environment): LoadedConfig {
  const chosen = file ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : SHIPPED_FILE);
  const main = loadMain(chosen, environment);
  const { config, document } = main;
  const folder = loadProfiles(config.profiles);
  const { read, faults } =
    'problem' in folder ? { read: [], faults: main.folderFault(folder.problem) } : folder;
  const fileOf = (profile: DeviceProfile | undefined): ProfileFile | undefined =>
    read.find(({ yaml }) => yaml.file === profile?.file);
  const inOrder = (unsorted: readonly ConfigFault[]): ConfigFault[] =>
    unsorted.toSorted(byPlace([chosen, ...read.map(({ yaml }) => yaml.file)]));

  return {
    file: chosen,
    config,
    document,
    profiles: [...read.flatMap(({ profile }) => profile ?? []), ...replyProfiles(config.commands, chosen)],
    faults: inOrder([...main.faults, ...faults]),
    inOrder,
    locate(fault, profile) {
      const own = fileOf(profile);
      if (own !== undefined) return located(fault, own.yaml);
      const reply = profile && replyKey(config.commands, profile);
      if (reply !== undefined) return main.locate({ ...fault, path: reply });
      // Another stage's words about a value: it doesn't know which values are secrets.
      return main.locate(isSecret(fault.path) ? { ...fault, found: 'a value (hidden)' } : fault);
    },
    originOf: (path, profile) =>
      profile === undefined ? main.originOf(path) : lineOf(fileOf(profile), path),
    documentOf: (profile) => fileOf(profile)?.document,
  };
}

/** The configuration file with the environment over it. */
function loadMain(file: string, environment: Environment) {
  const yaml = readYamlFile(file);
  const overlay = overlayEnvironment(configSchema, yaml.data, environment);
  const variableOf = (key: KeyPath): string | undefined =>
    overlay.variables.find(({ path }) => isPrefix(path, key))?.name;
  const locate = (fault: KeyFault): ConfigFault => {
    const variable = variableOf(fault.path);
    const place = located(fault, yaml);
    return variable === undefined ? place : { ...place, file: 'environment', line: 0, key: variable };
  };
  const { value, faults: keyFaults } = parseDocument(configSchema, overlay.data);
  // All keys have defaults, so only a root that is no map leaves nothing.
  const document = value ?? configSchema.parse({});
  const folder = dirname(file);
  const profiles = isAbsolute(document.profiles) ? document.profiles : join(folder, document.profiles);
  // What the shipped file starts belongs to whom it is started for, not into the installation.
  const data = file === SHIPPED_FILE ? process.cwd() : folder;
  const config = toConfig(document, { file: folder, data }, profiles);
  const faulty = keyFaults.map(({ path }) => path);
  return {
    config,
    document,
    locate,
    originOf: (path: KeyPath): string | undefined => variableOf(path) ?? lineOf({ yaml }, path),
    faults: [
      ...yaml.faults,
      ...(isEmpty(yaml) ? [emptyFile(file, 'a configuration, e.g. profiles: devices')] : []),
      ...overlay.faults,
      ...[...keyFaults, ...configFaults(document, config, faulty)].map(locate),
    ],
    /** Of a file that can't be read, or a key that is wrong, the folder is only our guess. */
    folderFault(found: string): ConfigFault[] {
      if (yaml.data === undefined || faulty.some(([first]) => first === 'profiles')) return [];
      return [locate({ path: ['profiles'], found, expected: 'a folder with device profiles, *.yaml' })];
    },
  };
}

/** Where a key stands that a file has; undefined: it has it not. */
function lineOf(file: Pick<ProfileFile, 'yaml'> | undefined, path: KeyPath): string | undefined {
  if (file === undefined || valueAt(file.yaml.data, path) === undefined) return undefined;
  return `${file.yaml.file}:${file.yaml.lineOf(path)}`;
}

/** A file of the profiles' folder, with what is sound of it. */
interface ProfileFile {
  readonly yaml: YamlFile;
  readonly document?: ProfileDocument;
  readonly profile?: DeviceProfile;
}

function loadProfiles(
  folder: string,
): { readonly problem: string } | { readonly read: ProfileFile[]; readonly faults: ConfigFault[] } {
  let names: string[];
  try {
    names = readdirSync(folder)
      .filter((name) => /\.ya?ml$/i.test(name))
      .sort();
  } catch (error) {
    return { problem: isMissing(error) ? `no folder ${folder}` : errorMessage(error) };
  }
  if (names.length === 0) return { problem: `no *.yaml in ${folder}` };

  const read: ProfileFile[] = [];
  const faults: ConfigFault[] = [];
  for (const name of names) {
    const yaml = readYamlFile(join(folder, name));
    faults.push(...yaml.faults);
    if (isEmpty(yaml)) faults.push(emptyFile(yaml.file, 'a device profile'));
    if (yaml.data === undefined || yaml.data === null) {
      read.push({ yaml });
      continue;
    }
    const { value: document, faults: keyFaults } = parseDocument(profileSchema, yaml.data);
    const profile = document && toProfile(document, yaml.file);
    const others = read.flatMap((other) => other.profile ?? []);
    const crossFaults = profile ? profileFaults(profile, others) : [];
    faults.push(...[...keyFaults, ...crossFaults].map((fault) => located(fault, yaml)));
    read.push({ yaml, ...(document && profile && { document, profile }) });
  }
  return { read, faults };
}

function located({ path, ...said }: KeyFault, yaml: YamlFile): ConfigFault {
  return { file: yaml.file, line: yaml.lineOf(path), key: keyText(path), ...said };
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
