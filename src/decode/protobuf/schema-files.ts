import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { DecoderSpec } from '../../core/profile/decoder-spec.ts';
import { findImport } from './protobuf.ts';

const IMPORT = /\bimport\s+(?:public\s+|weak\s+|option\s+)?["']([^"'\n]+)["']/g;

/**
 * The files that a profile's schema is made of, imports included, as absolute paths: what to look at for changes.
 * Of a schema that is broken as many as can be found; an import that is missing is named where it would be
 * looked for first. Never throws.
 */
export function schemaFiles(decode: DecoderSpec): string[] {
  if (!('file' in decode)) return [];
  const files = new Set<string>();
  collect(resolve(decode.file), files);
  return [...files];
}

function collect(file: string, files: Set<string>): void {
  if (files.has(file)) return;
  files.add(file);
  if (!file.endsWith('.proto')) return;
  for (const [, target = ''] of textOf(file).matchAll(IMPORT)) {
    collect(findImport(file, target) ?? join(dirname(file), target), files);
  }
}

function textOf(file: string): string {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  } catch {
    // Compiling the profile says what is wrong with it.
    return '';
  }
}
