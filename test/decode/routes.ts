import { CONTRACTS } from '../../src/core/contract.ts';
import type { DeviceProfile } from '../../src/core/profile/profile.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import type { DecodeFault, Route, RouteServices } from '../../src/core/route.ts';
import type { Publication } from '../../src/core/publication.ts';
import type { SharedReaders } from '../../src/decode/formats/payload-format.ts';
import { readEnvelope, type Telemetry } from '../../src/decode/envelope/envelope.ts';
import { compileProfile } from '../../src/decode/profile/compile-profile.ts';
import type { CompiledProfile } from '../../src/decode/profile/profile-route.ts';

/** Receipt of every message that says nothing else. */
export const NOW = 1_767_225_600_000;

const BASE: DeviceProfile = {
  file: 'devices/test.yaml',
  type: 'test',
  topic: 'fleet/{site}/{device}',
  decode: { kind: 'json' },
  device: { template: '{device}' },
  attributes: new Map(),
  metrics: new Map(),
  produce: { topic: 'telemetry', value: 'normalised' },
  ack: CONTRACTS.kafka,
};

/** A device of a profile, as the gateway treats it. */
export interface Bench {
  readonly compiled: CompiledProfile;
  readonly route: Route;
  /** What becomes of a message that is taken on: its telemetry, or the code of the verdict. */
  send(payload: unknown, publication?: Partial<Publication>): Telemetry | string;
  /** Sends, and shows the metrics' values by name. */
  values(payload: unknown, publication?: Partial<Publication>): object | string;
  /** The last record; its bytes are copies. */
  readonly record: SerializedRecord;
  headers(): Record<string, string>;
  lastFault: DecodeFault | undefined;
}

export function bench(
  profile: Partial<DeviceProfile>,
  services?: RouteServices,
  device = 'd-1',
  site = 'oslo',
  shared?: SharedReaders,
): Bench {
  const result = compileProfile({ ...BASE, ...profile }, services, undefined, shared);
  if ('faults' in result) throw new Error(JSON.stringify(result.faults));
  const { compiled } = result;
  const topic = { name: `fleet/${site}/${device}`, id: 0 };
  const route = compiled.bind(
    new Map([
      ['site', site],
      ['device', device],
    ]),
    topic.name,
  );
  const record: SerializedRecord = { topic: '', key: null, value: null, timestampMs: 0, headers: NO_HEADERS };
  const made: Bench = {
    compiled,
    route,
    record,
    lastFault: undefined,
    send(payload, publication) {
      const fault = route.toRecord(
        {
          topic,
          payload: Buffer.from(JSON.stringify(payload)),
          qos: 1,
          retain: false,
          dup: false,
          packetId: 1,
          clientId: 'client-1',
          receivedAtMs: NOW,
          ...publication,
        },
        record,
      );
      made.lastFault = fault;
      route.taken();
      if (fault !== undefined) return fault.code;
      record.value = record.value === null ? null : Buffer.from(record.value);
      return (profile.produce?.format ?? 'protobuf') === 'protobuf' && profile.produce?.value !== 'raw'
        ? readEnvelope(record.value as Uint8Array)
        : 'written';
    },
    values(payload, publication) {
      const telemetry = made.send(payload, publication);
      if (typeof telemetry === 'string') return telemetry;
      return Object.fromEntries(telemetry.metrics.map(({ name, value }) => [name, value]));
    },
    headers: () => readHeaders(record.headers),
  };
  return made;
}

/** What is wrong with a profile, one line each. */
export function profileFaults(profile: Partial<DeviceProfile>): string[] {
  const result = compileProfile({ ...BASE, ...profile });
  if (!('faults' in result)) throw new Error('it was accepted');
  return result.faults.map(
    ({ path, found, expected }) => `${path.join('.')}: found ${found}, expected ${expected}`,
  );
}

/** Headers in wire form (Kafka protocol guide, "Record Header"). */
function readHeaders(bytes: Uint8Array): Record<string, string> {
  const buffer = Buffer.from(bytes);
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = buffer[position++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 1;
    }
  };
  const text = (): string => {
    const length = varint();
    position += length;
    return buffer.toString('utf8', position - length, position);
  };
  return Object.fromEntries(Array.from({ length: varint() }, () => [text(), text()]));
}
