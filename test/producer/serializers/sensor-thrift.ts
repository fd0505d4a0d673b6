/**
 * The structs of vectors/sensor.thrift, field by field as `thrift --gen js:node,ts` writes them (its compiler is no
 * package of npm).
 */
import { Thrift, type Int64, type TProtocol } from 'thrift';

const { Type } = Thrift;

function list<T>(output: TProtocol, type: Thrift.Type, items: readonly T[], write: (item: T) => void): void {
  output.writeListBegin(type, items.length);
  for (const item of items) write(item);
  output.writeListEnd();
}

function readList<T>(input: TProtocol, read: () => T): T[] {
  const { size } = input.readListBegin();
  const items: T[] = [];
  for (let i = 0; i < size; i++) items.push(read());
  input.readListEnd();
  return items;
}

/** Calls `read` for each field; one that it doesn't take is skipped. */
function readFields(input: TProtocol, read: (id: number) => boolean): void {
  input.readStructBegin();
  for (;;) {
    const { ftype, fid } = input.readFieldBegin();
    if (ftype === Type.STOP) break;
    if (!read(fid)) input.skip(ftype);
    input.readFieldEnd();
  }
  input.readStructEnd();
}

function field(output: TProtocol, name: string, type: Thrift.Type, id: number, write: () => void): void {
  output.writeFieldBegin(name, type, id);
  write();
  output.writeFieldEnd();
}

export class Reading {
  name = '';
  value = 0;

  write(output: TProtocol): void {
    output.writeStructBegin('Reading');
    field(output, 'name', Type.STRING, 1, () => {
      output.writeString(this.name);
    });
    field(output, 'value', Type.DOUBLE, 2, () => {
      output.writeDouble(this.value);
    });
    output.writeFieldStop();
    output.writeStructEnd();
  }

  read(input: TProtocol): void {
    readFields(input, (id) => {
      if (id === 1) this.name = input.readString();
      else if (id === 2) this.value = input.readDouble();
      else return false;
      return true;
    });
  }
}

export class Sensor {
  device = '';
  ts: Int64 | number = 0;
  seq = 0;
  rssi = 0;
  channel = 0;
  temperature = 0;
  charging = false;
  muted = false;
  raw: Buffer = Buffer.alloc(0);
  status = 0;
  readings: Reading[] = [];
  counters: Record<string, number> = {};
  ports: number[] = [];
  note: string | null = null;
  flags: boolean[] = [];

  write(output: TProtocol): void {
    const write = (name: string, type: Thrift.Type, id: number, it: () => void) => {
      field(output, name, type, id, it);
    };
    output.writeStructBegin('Sensor');
    write('device', Type.STRING, 1, () => {
      output.writeString(this.device);
    });
    write('ts', Type.I64, 2, () => {
      output.writeI64(this.ts);
    });
    write('seq', Type.I32, 3, () => {
      output.writeI32(this.seq);
    });
    write('rssi', Type.I16, 4, () => {
      output.writeI16(this.rssi);
    });
    write('channel', Type.BYTE, 5, () => {
      output.writeByte(this.channel);
    });
    write('temperature', Type.DOUBLE, 6, () => {
      output.writeDouble(this.temperature);
    });
    write('charging', Type.BOOL, 7, () => {
      output.writeBool(this.charging);
    });
    write('muted', Type.BOOL, 8, () => {
      output.writeBool(this.muted);
    });
    write('raw', Type.STRING, 20, () => {
      output.writeBinary(this.raw);
    });
    write('status', Type.I32, 21, () => {
      output.writeI32(this.status);
    });
    write('readings', Type.LIST, 22, () => {
      list(output, Type.STRUCT, this.readings, (it) => {
        it.write(output);
      });
    });
    write('counters', Type.MAP, 23, () => {
      const entries = Object.entries(this.counters);
      output.writeMapBegin(Type.STRING, Type.I32, entries.length);
      for (const [key, value] of entries) {
        output.writeString(key);
        output.writeI32(value);
      }
      output.writeMapEnd();
    });
    write('ports', Type.SET, 24, () => {
      output.writeSetBegin(Type.I32, this.ports.length);
      for (const port of this.ports) output.writeI32(port);
      output.writeSetEnd();
    });
    const { note } = this;
    if (note !== null)
      write('note', Type.STRING, 25, () => {
        output.writeString(note);
      });
    write('flags', Type.LIST, 500, () => {
      list(output, Type.BOOL, this.flags, (it) => {
        output.writeBool(it);
      });
    });
    output.writeFieldStop();
    output.writeStructEnd();
  }

  read(input: TProtocol): void {
    const readers: Record<number, () => void> = {
      1: () => (this.device = input.readString()),
      2: () => (this.ts = input.readI64()),
      3: () => (this.seq = input.readI32()),
      4: () => (this.rssi = input.readI16()),
      5: () => (this.channel = input.readByte()),
      6: () => (this.temperature = input.readDouble()),
      7: () => (this.charging = input.readBool()),
      8: () => (this.muted = input.readBool()),
      20: () => (this.raw = input.readBinary()),
      21: () => (this.status = input.readI32()),
      22: () => {
        this.readings = readList(input, () => {
          const reading = new Reading();
          reading.read(input);
          return reading;
        });
      },
      23: () => {
        const { size } = input.readMapBegin();
        for (let i = 0; i < size; i++) {
          const key = input.readString();
          this.counters[key] = input.readI32();
        }
        input.readMapEnd();
      },
      24: () => {
        const { size } = input.readSetBegin();
        for (let i = 0; i < size; i++) this.ports.push(input.readI32());
        input.readSetEnd();
      },
      25: () => (this.note = input.readString()),
      500: () => (this.flags = readList(input, () => input.readBool())),
    };
    readFields(input, (id) => {
      readers[id]?.();
      return id in readers;
    });
  }
}
