import { Document, YAMLMap, YAMLSeq, type Node } from 'yaml';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { SETTINGS, type ProducerConfig } from '../producer/config/config-table.ts';
import { NO_PRODUCER_KEYS, configSchema } from './schema.ts';
import { isPlainMap, isSecret, keyFacts, type KeyPath } from './key.ts';
import type { LoadedConfig } from './load.ts';

/*
 * What is in force, as YAML under the keys of the file: each value with its origin as a comment, secrets as `***`.
 */

/** sluice.yaml with the environment over it, every key that has a value. */
export function printedConfig(loaded: LoadedConfig, producer: ProducerConfig): string {
  const { document } = loaded;
  const kafka = { ...document.kafka, producer: producerSettings(document.kafka.producer, producer) };
  const reloaded = Object.entries(configSchema.shape).filter(([, row]) => keyFacts.get(row)?.reloads);
  const restart = `A change of any key but ${reloaded.map(([key]) => key).join(', ')} needs a restart.`;
  return printed({ ...document, kafka }, (path) => loaded.originOf(path), restart);
}

/** A device profile in the same way; undefined if no file has it. */
export function printedProfile(loaded: LoadedConfig, profile: DeviceProfile): string | undefined {
  const document = loaded.documentOf(profile);
  if (document === undefined) return undefined;
  const reload = 'A change is taken up by a reload (profiles.reload), without a restart.';
  return printed(document, (path) => loaded.originOf(path, profile), reload);
}

/** The producer's settings that a person may set, as they were understood. */
function producerSettings(given: Readonly<Record<string, unknown>>, producer: ProducerConfig): object {
  const rows = Object.entries(SETTINGS).filter(([, { name }]) => !Object.hasOwn(NO_PRODUCER_KEYS, name));
  return Object.fromEntries(
    rows.map(([field, { name }]) => {
      const value = producer[field as keyof ProducerConfig];
      return [name, given[name] ?? (name === 'acks' && value === -1 ? 'all' : value)];
    }),
  );
}

type OriginOf = (path: KeyPath) => string | undefined;

function printed(data: unknown, originOf: OriginOf, restart: string): string {
  const document = new Document(nodeOf(data, [], originOf));
  document.commentBefore = ` ${restart}`;
  return document.toString({ lineWidth: 0 });
}

function nodeOf(value: unknown, path: KeyPath, originOf: OriginOf): Node {
  if (Array.isArray(value)) {
    const list = new YAMLSeq();
    list.items = value.map((item, index) => nodeOf(item, [...path, index], originOf));
    return list;
  }
  if (isPlainMap(value)) {
    const map = new YAMLMap<string, Node>();
    for (const [key, inner] of Object.entries(value)) {
      if (saysSomething(inner)) map.set(key, nodeOf(inner, [...path, key], originOf));
    }
    return map;
  }
  const leaf = new Document(shown(value, path)).contents as Node;
  leaf.comment = ` ${originOf(path) ?? 'default'}`;
  return leaf;
}

/** A list or map with nothing in it is as if it were not there. */
function saysSomething(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : value !== undefined;
}

/** Secrets are not shown, nor is a login that stands in a URL. */
function shown(value: unknown, path: KeyPath): unknown {
  if (isSecret(path)) return '***';
  return typeof value === 'string' ? value.replaceAll(/\/\/[^@/\s]*@/g, '//***@') : value;
}
