import { expect } from 'vitest';
import type { DecoderSpec } from '../../src/core/profile/decoder-spec.ts';
import { compileReader } from '../../src/decode/decoders.ts';
import { FieldValues } from '../../src/decode/formats/field-values.ts';
import type { PayloadReader } from '../../src/decode/formats/payload-reader.ts';
import { plainValue, type PlainValue } from './values.ts';

export function readerOf(decode: DecoderSpec, ...fields: string[]): PayloadReader {
  const compiled = compileReader(decode, { fields, levels: ['kind'] });
  if ('problems' in compiled) throw new Error(JSON.stringify(compiled.problems));
  if (compiled.reader === undefined) throw new Error('nothing is read');
  return compiled.reader;
}

export function problemsOf(decode: DecoderSpec, ...fields: string[]): string[] {
  const compiled = compileReader(decode, { fields, levels: ['kind'] });
  if (!('problems' in compiled)) throw new Error('it was accepted');
  return compiled.problems.map(
    (problem) =>
      `${'path' in problem ? problem.path.join('.') : fields[problem.field]!}: found ${problem.found}, expected ${problem.expected}`,
  );
}

/** The fields of one reading, or why it can't be read. */
export function readOne(reader: PayloadReader, payload: Buffer): PlainValue[] | string {
  const values = new FieldValues(reader.fields.length);
  const fault = reader.read(payload, values);
  if (fault !== undefined) return `${fault.code}: ${fault.message}`;
  return reader.fields.map((_, slot) => plainValue(values, slot));
}

/**
 * All readings of a payload, each as {@link readOne} gives it; or why it can't be taken apart. Each of them must
 * read the same out of a payload that holds it alone, as its dead letter does.
 */
export function readAll(reader: PayloadReader, payload: Buffer): (PlainValue[] | string)[] | string {
  const { batch } = reader;
  if (batch === undefined) return [readOne(reader, payload)];
  const count = batch.open(payload);
  if (typeof count !== 'number') return `${count.code}: ${count.message}`;
  const readings = Array.from({ length: count }, (_, index) => {
    batch.select(index);
    const alone = batch.alone();
    return { reading: readOne(reader, payload), alone: alone && Buffer.from(alone) };
  });
  batch.close();
  for (const { reading, alone } of readings) {
    if (alone === undefined) continue;
    expect(batch.open(alone)).toBe(1);
    batch.select(0);
    expect(readOne(reader, alone)).toEqual(reading);
    batch.close();
  }
  return readings.map(({ reading }) => reading);
}
