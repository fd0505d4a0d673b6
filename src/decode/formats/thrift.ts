import { isUtf8 } from 'node:buffer';
import {
  TBinaryProtocol,
  TCompactProtocol,
  TFramedTransport,
  Thrift,
  type TField,
  type TProtocol,
} from 'thrift';
import type { PayloadFormat } from './payload-format.ts';
import { compileTreeReader, writeAsJson, type TreeFormat } from './tree-reader.ts';

/*
 * Thrift by Apache's own library. On the wire a struct says the number and the type of each of its fields, so no
 * schema is needed: a field is named by its numbers, `2.1` is field 1 of the struct in field 2.
 */

type Protocol = 'binary' | 'compact';

/** A struct, without a message header or a frame: what Thrift's TSerializer writes. */
export const thrift: PayloadFormat<{ readonly protocol: Protocol }> = {
  reader: ({ protocol }, { fields }) => compileTreeReader(structFormat(protocol), fields),
};

function structFormat(protocol: Protocol): TreeFormat {
  return {
    name: `Thrift (${protocol})`,
    contentType: `application/vnd.apache.thrift.${protocol}`,
    parse(payload) {
      // Framed in name only: read from bytes that are all there, it looks for no frame.
      const transport = new BoundedTransport(payload);
      const input = protocol === 'binary' ? new TBinaryProtocol(transport) : new CompactProtocol(transport);
      const struct = readStruct(input, payload.length);
      if (transport.readPos < payload.length) throw new Error('bytes behind the struct');
      return struct;
    },
    // Without its list's header an element is no struct of its own: as a raw value it is JSON.
    write: writeAsJson,
    readsItsOwn: false,
  };
}

function readStruct(input: TProtocol, payloadBytes: number): Map<number, unknown> {
  try {
    return new StructReader(input, payloadBytes).struct(0);
  } catch (error) {
    // Thrift's error for too few bytes has no message.
    if (!(error instanceof Error) || error.name !== 'InputBufferUnderrunError') throw error;
    throw new Error('it ends in the middle of a struct', { cause: error });
  }
}

class BoundedTransport extends TFramedTransport {
  declare readPos: number;

  /** The library takes a negative length for a position further back. */
  override ensureAvailable(length: number): void {
    if (length < 0) throw new Error('a negative length');
    super.ensureAvailable(length);
  }
}

/**
 * thrift 0.24 reads every boolean of a list or set as false (its readBool asks a byte for a `value`). A boolean
 * field has its value in the field's header instead, and is read right.
 */
class CompactProtocol extends TCompactProtocol {
  #isField = false;

  override readFieldBegin(): TField {
    const field = super.readFieldBegin();
    this.#isField = field.ftype === Thrift.Type.BOOL;
    return field;
  }

  override readBool(): boolean {
    if (!this.#isField) return this.getTransport().readByte() === 1;
    this.#isField = false;
    return super.readBool();
  }
}

const MAX_DEPTH = 64;

/** Reads whatever a struct holds: structs as maps by field number, maps as Map, lists and sets as arrays. */
class StructReader {
  readonly #input: TProtocol;
  /** Every element takes a byte at least, so there can't be more of them than this, all lists together. */
  #elementsLeft: number;

  constructor(input: TProtocol, elements: number) {
    this.#input = input;
    this.#elementsLeft = elements;
  }

  struct(depth: number): Map<number, unknown> {
    if (depth > MAX_DEPTH) throw new Error('nested too deep');
    const input = this.#input;
    const fields = new Map<number, unknown>();
    input.readStructBegin();
    for (;;) {
      const { ftype, fid } = input.readFieldBegin();
      if (ftype === Thrift.Type.STOP) break;
      fields.set(fid, this.#value(ftype, depth));
      input.readFieldEnd();
    }
    input.readStructEnd();
    return fields;
  }

  #value(type: Thrift.Type, depth: number): unknown {
    const input = this.#input;
    switch (type) {
      case Thrift.Type.BOOL:
        return input.readBool();
      case Thrift.Type.BYTE:
        return (input.readByte() << 24) >> 24;
      case Thrift.Type.I16:
        return input.readI16();
      case Thrift.Type.I32:
        return input.readI32();
      case Thrift.Type.I64:
        return input.readI64().buffer.readBigInt64BE();
      case Thrift.Type.DOUBLE:
        return input.readDouble();
      case Thrift.Type.STRING:
        return textOrBytes(input.readBinary());
      case Thrift.Type.STRUCT:
        return this.struct(depth + 1);
      case Thrift.Type.LIST:
      case Thrift.Type.SET: {
        const { etype, size } = type === Thrift.Type.LIST ? input.readListBegin() : input.readSetBegin();
        return this.#elements(etype, size, depth);
      }
      case Thrift.Type.MAP:
        return this.#map(depth);
      default:
        throw new Error(`a value of the unknown type ${type}`);
    }
  }

  #elements(type: Thrift.Type, size: number, depth: number): unknown[] {
    this.#take(size);
    if (depth >= MAX_DEPTH) throw new Error('nested too deep');
    return Array.from({ length: size }, () => this.#value(type, depth + 1));
  }

  #map(depth: number): Map<unknown, unknown> {
    const { ktype, vtype, size } = this.#input.readMapBegin();
    this.#take(size);
    if (depth >= MAX_DEPTH) throw new Error('nested too deep');
    const map = new Map<unknown, unknown>();
    for (let index = 0; index < size; index++) {
      const key = this.#value(ktype, depth + 1);
      map.set(typeof key === 'bigint' ? Number(key) : key, this.#value(vtype, depth + 1));
    }
    return map;
  }

  #take(size: number): void {
    this.#elementsLeft -= size;
    if (size < 0 || this.#elementsLeft < 0) throw new Error('a list longer than its payload');
  }
}

/** Thrift has one type for both on the wire. */
function textOrBytes(value: Buffer | string): string | Buffer {
  const bytes = Buffer.from(value);
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes;
}
