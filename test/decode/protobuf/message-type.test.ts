import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadMessageType } from '../../../src/decode/protobuf/message-type.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-proto-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, ...lines: string[]): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, lines.join('\n'));
  return file;
}

const PROTO3 = 'syntax = "proto3";';

describe('a message type', () => {
  test('writes and reads plain data: bigints, bytes, enums by name, nested messages', () => {
    const file = write(
      'a.proto',
      `${PROTO3} package p;`,
      'message A { uint64 count = 1; B b = 2; bytes raw = 3; State state_of = 4; repeated sint64 list = 5; }',
      'message B { optional double x = 1; }',
      'enum State { STATE_OFF = 0; STATE_ON = 1; }',
    );
    const type = loadMessageType(file, 'p.A');
    const message = {
      count: 2n ** 64n - 1n,
      b: { x: 0 },
      raw: Uint8Array.of(1, 2),
      state_of: 'STATE_ON',
      list: [-(2n ** 63n), 1n],
    };
    expect(type.name).toBe('p.A');
    expect(type.decode(type.encode(message))).toEqual(message);
  });

  test('gives bytes of its own, not views on what it read', () => {
    const type = loadMessageType(write('a.proto', PROTO3, 'message A { bytes raw = 1; }'), 'A');
    const bytes = type.encode({ raw: Uint8Array.of(7) });
    const { raw } = type.decode(bytes);
    bytes.fill(0);
    expect(raw).toEqual(Uint8Array.of(7));
  });

  test('names the fields of google.protobuf.Value as its schema does, also out of a .proto file', () => {
    const file = write(
      'a.proto',
      PROTO3,
      'import "google/protobuf/struct.proto";',
      'message A { google.protobuf.Struct extra = 1; }',
    );
    const type = loadMessageType(file, 'A');
    // {"k": 1.5, "n": {"m": true}} by Python's protobuf.
    const bytes = Buffer.from(
      '0a220a0e0a016b120911000000000000f83f0a100a016e120b2a090a070a016d12022001',
      'hex',
    );
    expect(type.decode(bytes)).toEqual({
      extra: {
        fields: {
          k: { number_value: 1.5 },
          n: { struct_value: { fields: { m: { bool_value: true } } } },
        },
      },
    });
  });

  test('refuses other bytes with a code', () => {
    const type = loadMessageType(write('a.proto', PROTO3, 'message A { bytes raw = 1; }'), 'A');
    expect(() => type.decode(Uint8Array.of(0xff))).toThrow(
      expect.objectContaining({ code: 'DECODE_FAILED' }) as Error,
    );
  });

  test('may be recursive, nested in another, and of an edition', () => {
    const file = write(
      'a.proto',
      'edition = "2023"; package p;',
      'message A { message B { A a = 1; B b = 2; } }',
    );
    expect(loadMessageType(file, 'p.A.B').schema.fields.map(({ name }) => name)).toEqual(['a', 'b']);
  });
});

describe('an import', () => {
  test('is found beside the file, and below any folder above it, as protoc -I finds it', () => {
    write('types/unit.proto', PROTO3, 'package t;', 'message Unit { string u = 1; }');
    write('devices/near.proto', PROTO3, 'import "types/unit.proto";', 'message Near { t.Unit unit = 1; }');
    const file = write('devices/a.proto', PROTO3, 'import "near.proto";', 'message A { Near near = 1; }');
    const type = loadMessageType(file, 'A');
    expect(type.decode(type.encode({ near: { unit: { u: 'x' } } }))).toEqual({ near: { unit: { u: 'x' } } });
  });

  test.each([
    ['timestamp', 'google.protobuf.Timestamp', { seconds: 5n }],
    ['wrappers', 'google.protobuf.DoubleValue', { value: 1.5 }],
    ['struct', 'google.protobuf.Struct', {}],
    ['descriptor', 'google.protobuf.FileDescriptorProto', { name: 'x' }],
    ['source_context', 'google.protobuf.SourceContext', { file_name: 'x' }],
  ])('of google/protobuf/%s.proto needs no file', (name, type, value) => {
    const file = write(
      'a.proto',
      PROTO3,
      `import "google/protobuf/${name}.proto";`,
      `message A { ${type} v = 1; }`,
    );
    const loaded = loadMessageType(file, 'A');
    expect(loaded.decode(loaded.encode({ v: value }))).toEqual({ v: value });
  });

  test('that is not there is named', () => {
    const file = write('a.proto', PROTO3, 'import "gone/x.proto";', 'message A {}');
    expect(() => loadMessageType(file, 'A')).toThrow(
      expect.objectContaining({ part: 'file', found: 'a.proto: import "gone/x.proto" not found' }) as Error,
    );
  });
});

describe('a schema that can not be used', () => {
  const problem = (file: string, message: string): unknown => {
    try {
      loadMessageType(file, message);
    } catch (error) {
      return error;
    }
    throw new Error('it was accepted');
  };

  test('because there is no file', () => {
    expect(problem(join(folder, 'gone.proto'), 'A')).toMatchObject({
      code: 'SCHEMA_FILE',
      part: 'file',
      found: `no file ${join(folder, 'gone.proto')}`,
    });
  });

  test('because of its syntax: with the line', () => {
    const file = write('a.proto', PROTO3, 'message A {', '  int32 x = ;', '}');
    expect(problem(file, 'A')).toMatchObject({
      part: 'file',
      found: expect.stringMatching(/^a\.proto: illegal .*line 3\)$/) as string,
    });
  });

  test('because of a type that no file has', () => {
    const file = write('a.proto', PROTO3, 'message A { Gone x = 1; }');
    expect(problem(file, 'A')).toMatchObject({
      part: 'file',
      found: "a.proto: no such Type or Enum 'Gone' in Type .A",
    });
  });

  test('because it has no such message: with those that it has', () => {
    const file = write('a.proto', PROTO3, 'package p;', 'message A { message B {} }', 'message C {}');
    expect(problem(file, 'A')).toMatchObject({
      code: 'SCHEMA_MESSAGE',
      part: 'message',
      found: '"A"',
      expected: 'a message of a.proto: p.A, p.A.B, p.C',
    });
  });
});
