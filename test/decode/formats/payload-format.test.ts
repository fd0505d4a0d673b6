import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceProfile } from '../../../src/core/profile/profile.ts';
import { compileReader } from '../../../src/decode/decoders.ts';
import { loadMessageType } from '../../../src/decode/protobuf/message-type.ts';
import { SharedReaders } from '../../../src/decode/formats/payload-format.ts';
import { bench, NOW, type Bench } from '../routes.ts';

const FILE = join(import.meta.dirname, '../../../bench/proto/field_sensor.proto');
const MESSAGE = 'bench.FieldSensor';
const type = loadMessageType(FILE, MESSAGE);

/** They ask the same of the same message, and make different things of it; the last has a reader of its own. */
const PROFILES: readonly Partial<DeviceProfile>[] = [
  {},
  { metrics: new Map([['temperature', { field: 'temp', from: 'Cel', unit: 'K' }]]) },
  {
    metrics: new Map([
      ['t', { field: 'temp', range: { min: 0, else: 'drop' } }],
      ['cold', { field: 'temp', scale: -1 }],
    ]),
  },
  { decode: { kind: 'protobuf', file: FILE, message: MESSAGE, delimited: true } },
];

function benches(shared: () => SharedReaders): Bench[] {
  return PROFILES.map((profile, index) =>
    bench(
      {
        type: `type-${index}`,
        decode: { kind: 'protobuf', file: FILE, message: MESSAGE },
        time: { field: 'ts', unit: 'ms' },
        metrics: new Map([['temp', { field: 'temp' }]]),
        ...profile,
      },
      undefined,
      `d-${index}`,
      'oslo',
      shared(),
    ),
  );
}

describe('profiles that ask the same fields of the same message', () => {
  it('have one reader, whatever they make of its values', () => {
    const shared = new SharedReaders();
    const reader = (fields: string[], file = FILE) => {
      const compiled = compileReader(
        { kind: 'protobuf', file, message: MESSAGE },
        { fields, levels: [], shared },
      );
      if ('problems' in compiled) throw new Error(JSON.stringify(compiled.problems));
      return compiled.reader;
    };
    const first = reader(['ts', 'temp']);
    expect(reader(['ts', 'temp'])).toBe(first);
    expect(shared.values(reader(['ts', 'temp']), 3)).toBe(shared.values(first, 3));
    // Other fields, another order, another number of values made of them: other slots.
    expect(reader(['temp', 'ts'])).not.toBe(first);
    expect(reader(['ts'])).not.toBe(first);
    expect(shared.values(first, 4)).not.toBe(shared.values(first, 3));
  });

  it('are told what is wrong with a field each by itself', () => {
    const shared = new SharedReaders();
    const decode = { kind: 'protobuf', file: FILE, message: MESSAGE } as const;
    for (let profile = 0; profile < 2; profile++) {
      expect(compileReader(decode, { fields: ['nothing'], levels: [], shared })).toMatchObject({
        problems: [{ field: 0, found: `no field nothing in ${MESSAGE}` }],
      });
    }
  });

  it('get from each message what they would get alone, in any mixture, also behind a broken one', () => {
    const message = fc.record({
      profile: fc.nat(PROFILES.length - 1),
      temp: fc.option(fc.integer({ min: -50, max: 50 }), { nil: undefined }),
      broken: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), (messages) => {
        const one = new SharedReaders();
        const together = benches(() => one);
        const alone = benches(() => new SharedReaders());
        for (const [index, { profile, temp, broken }] of messages.entries()) {
          const plain = { ts: BigInt(NOW - index), ...(temp !== undefined && { temp }) };
          const payload = broken ? Buffer.from([0x09, 1]) : Buffer.from(type.encode(plain));
          const sent = together[profile]!.send({}, { payload });
          expect(sent).toEqual(alone[profile]!.send({}, { payload }));
        }
      }),
      { numRuns: 100 },
    );
  });
});
