import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { format } from 'prettier';
import { z } from 'zod';
import { GATEWAY_DEFAULTS, NO_PRODUCER_KEYS, configSchema, producerKeys } from '../src/config/schema.ts';
import { keyFacts } from '../src/config/key.ts';
import { profileSchema } from '../src/config/profile/profile-schema.ts';
import { SETTINGS } from '../src/producer/config/config-table.ts';
import type { Setting } from '../src/producer/config/setting.ts';

// Writes the JSON Schemas of sluice.yaml and of device profiles into schema/, from the rows that the program checks by.
//   node scripts/json-schemas.ts

const root = join(import.meta.dirname, '..');

type Json = Record<string, unknown>;

/** The files of schema/ as they should be, by path. */
export async function jsonSchemas(): Promise<Map<string, string>> {
  const schemas = {
    'schema/sluice.schema.json': jsonSchema(configSchema, 'sluice.yaml, the configuration of Sluice'),
    'schema/profile.schema.json': jsonSchema(profileSchema, 'A device profile of Sluice'),
  };
  const texts = Object.entries(schemas).map(
    async ([path, schema]) =>
      [path, await format(JSON.stringify(schema), { parser: 'json', printWidth: 110 })] as const,
  );
  return new Map(await Promise.all(texts));
}

/**
 * What a file may hold, as near as JSON Schema comes to it: `sluice check` refuses more, such as keys that contradict
 * each other, and takes all that this takes not.
 */
function jsonSchema(schema: z.ZodType, title: string): Json {
  const json = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    // Each file is read on its own: a definition that two keys share would only be looked up.
    reused: 'inline',
    override: ({ zodSchema, jsonSchema: node, path }) => {
      const row = keyFacts.get(zodSchema)?.row;
      // Lists that the producer takes as well are no text.
      if (row !== undefined) Object.assign(node, { ...row.type.json, type: 'string', items: undefined });
      if (zodSchema === producerKeys) Object.assign(node, producerJson());
      // `kafka:` with nothing behind it is an empty section.
      const isSection = node.type === 'object' || node.type === 'array';
      if (isSection && path.length > 0) Object.assign(node, { type: [node.type, 'null'] });
      if (node.description !== undefined) node.description = plain(node.description);
    },
  });
  return { ...json, title };
}

/** The producer's table is our own, and says itself what its types are in JSON Schema. */
function producerJson(): Json {
  const rows = Object.values<Setting<unknown>>(SETTINGS).filter(
    ({ name }) => !Object.hasOwn(NO_PRODUCER_KEYS, name),
  );
  const properties = rows.map(({ name, type, default: value, meaning }) => [
    name,
    {
      ...type.json,
      description: meaning,
      default: GATEWAY_DEFAULTS[name] ?? (name === 'acks' ? 'all' : value),
    },
  ]);
  return {
    type: 'object',
    properties: Object.fromEntries(properties) as Json,
    additionalProperties: false,
    propertyNames: undefined,
  };
}

/** Links lead nowhere in an editor: the page's name is left. */
function plain(text: string): string {
  return text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, 'docs/$1');
}

if (import.meta.main) {
  for (const [path, text] of await jsonSchemas()) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}
