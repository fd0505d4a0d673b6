import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { protoMessages } from '../../../src/producer/schema-registry/proto-messages.ts';

const found = (text: string) =>
  Object.fromEntries(protoMessages(text).map(({ name, indexes }) => [name, indexes]));

describe('protoMessages', () => {
  it('protoMessages counts messages as they stand in the text, nested ones within theirs', () => {
    const text = `
      syntax = "proto3";
      package a.b;
      message First { string name = 1; message Inner { message Deep {} } message Other {} }
      enum E { ZERO = 0; }
      message Second {}
    `;
    expect(found(text)).toEqual({
      'a.b.First': [0],
      'a.b.First.Inner': [0, 0],
      'a.b.First.Inner.Deep': [0, 0, 0],
      'a.b.First.Other': [0, 1],
      'a.b.Second': [1],
    });
  });

  it('protoMessages is not misled by comments, strings, options, fields called message, or braces in any of them', () => {
    const text = `
      // message A {
      /* message B { } */
      option (note) = "message C { ' }";
      option (meta) = { text: 'message D { \\'' };
      service S { rpc Get (One) returns (Two) { option idempotency_level = NO_SIDE_EFFECTS; } }
      extend google.protobuf.MessageOptions { string message = 50001; }
      message One {
        option (meta) = { a { b: 1 } };
        reserved 2, 15, 9 to 11;
        string message = 1 [(x) = { text: "}" }, deprecated = true];
        oneof choice { int32 package = 3; Two two = 4; }
        map<string, Two> twos = 5;
        enum Kind { option allow_alias = true; message = 0; }
      };
      message Two { One message = 1; }
    `;
    expect(found(text)).toEqual({ One: [0], Two: [1] });
  });

  it('protoMessages finds nothing in what is no .proto file', () => {
    for (const text of [
      '',
      'CgRhLnBiEgE=',
      '{"type":"record"}',
      'message',
      'message A',
      'message A {',
      '}}}{',
    ]) {
      expect(() => protoMessages(text)).not.toThrow();
    }
    expect(protoMessages('CgRhLnBiEgE=')).toEqual([]);
  });

  it('protoMessages agrees with protobufjs about any nesting', () => {
    const { tree } = fc.letrec<{ tree: string[][] | object }>((tie) => ({
      tree: fc.array(fc.oneof({ maxDepth: 4 }, fc.constant('enum'), fc.constant('field'), tie('tree')), {
        maxLength: 4,
      }),
    }));
    fc.assert(
      fc.property(tree, (shape) => {
        let next = 0;
        const write = (node: unknown, inMessage: boolean): string => {
          const id = next++;
          if (node === 'enum') return `enum E${id} { Z${id} = 0; }`;
          if (node === 'field') return inMessage ? `string message${id} = ${id + 1};` : '';
          const inner = (node as unknown[]).map((child) => write(child, true));
          return `message M${id} { ${inner.join(' // message X {\n')} }`;
        };
        const text = `syntax = "proto3"; package p.q; ${(shape as unknown[]).map((it) => write(it, false)).join('\n')}`;
        const expected: Record<string, number[]> = {};
        const visit = (parent: protobuf.NamespaceBase, indexes: number[]) => {
          const types = parent.nestedArray.filter((it) => it instanceof protobuf.Type);
          for (const [index, type] of types.entries()) {
            expected[type.fullName.slice(1)] = [...indexes, index];
            visit(type, [...indexes, index]);
          }
        };
        const package_ = protobuf.parse(text).root.lookup('p.q') as protobuf.Namespace | null;
        if (package_ !== null) visit(package_, []);
        expect(found(text)).toEqual(expected);
      }),
    );
  });
});
