import { TBinaryProtocol, TBufferedTransport, TCompactProtocol, TFramedTransport, Thrift } from 'thrift';
import type { TField, TProtocol } from 'thrift';
import { asBuffer, cannotDeserialize, cannotSerialize } from './serializer.ts';
import type { Deserializer, Serializer } from './serializer.ts';

/** A struct as the Thrift compiler generates it (`thrift --gen js:node` or `js:node,ts`). */
export interface ThriftStruct {
  write(output: object): void;
  read(input: object): void;
}

/** `binary`, the default of Thrift's own TSerializer in every language, or `compact`, with varints. */
export type ThriftProtocol = 'binary' | 'compact';

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

const PROTOCOLS = { binary: TBinaryProtocol, compact: CompactProtocol };

/** A struct as the bytes of its fields, without a message header or a frame: as Thrift's TSerializer in Java. */
export class ThriftSerializer<T extends ThriftStruct> implements Serializer<T> {
  readonly #protocol: ThriftProtocol;
  #output: TProtocol;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(protocol: ThriftProtocol = 'binary') {
    this.#protocol = protocol;
    this.#output = this.#newOutput();
  }

  #newOutput(): TProtocol {
    const transport = new TBufferedTransport(undefined, (bytes) => {
      this.#bytes = bytes ?? Buffer.alloc(0);
    });
    return new PROTOCOLS[this.#protocol](transport);
  }

  serialize(topic: string, data: T | null): Uint8Array | null {
    if (data === null) return null;
    try {
      data.write(this.#output);
      this.#output.flush();
      return this.#bytes;
    } catch (error) {
      // Half a struct has been written, and the compact protocol may be inside it: begin afresh.
      this.#output = this.#newOutput();
      throw cannotSerialize(topic, `Thrift (${this.#protocol})`, error);
    }
  }
}

/** A struct of one generated class. Fields that the class doesn't know are skipped; bytes are views on the record. */
export class ThriftDeserializer<T extends ThriftStruct> implements Deserializer<T> {
  readonly #structClass: new () => T;
  readonly #protocol: ThriftProtocol;

  constructor(structClass: new () => T, protocol: ThriftProtocol = 'binary') {
    this.#structClass = structClass;
    this.#protocol = protocol;
  }

  deserialize(topic: string, data: Uint8Array | null): T | null {
    if (data === null) return null;
    const struct = new this.#structClass();
    try {
      // Framed in name only: read from bytes that are all there, it looks for no frame.
      struct.read(new PROTOCOLS[this.#protocol](new TFramedTransport(asBuffer(data))));
    } catch (error) {
      throw cannotDeserialize(topic, `Thrift (${this.#protocol})`, explained(error));
    }
    return struct;
  }
}

/** Thrift's error for too few bytes has no message. */
function explained(error: unknown): unknown {
  return error instanceof Error && error.name === 'InputBufferUnderrunError'
    ? new Error('it ends in the middle of a struct', { cause: error })
    : error;
}
