import { Buffer } from 'node:buffer';
import { CONTRACTS } from '../../src/core/contract.ts';
import { NO_HEADERS, type SerializedRecord } from '../../src/core/record.ts';
import type { DeviceProfile } from '../../src/core/profile/profile.ts';
import { compileProfile } from '../../src/decode/profile/compile-profile.ts';
import type { Stage } from './stage.ts';

const RECEIVED_AT_MS = Date.UTC(2026, 0, 1, 1);
const DEVICES = 1_000;

const PROFILE: DeviceProfile = {
  file: 'shared.yaml',
  type: 'shared',
  topic: 'readings/{site}',
  decode: { kind: 'json' },
  device: { field: 'id' },
  attributes: new Map([['site', '{site}']]),
  metrics: new Map([['value', { field: 'v', unit: 'Cel' }]]),
  produce: { topic: 'telemetry', value: 'normalised' },
  ack: CONTRACTS.kafka,
};

/** Devices that take turns on one topic and are named by a field of the payload. */
export const stage: Stage = {
  name: 'transcode, devices that share a topic',
  prepare() {
    const result = compileProfile(PROFILE);
    if ('faults' in result) throw new Error(JSON.stringify(result.faults));
    const topic = { name: 'readings/oslo', id: 0 };
    const route = result.compiled.bind(new Map([['site', 'oslo']]), topic.name);
    const all = Array.from({ length: DEVICES }, (_, index) => ({
      topic,
      payload: Buffer.from(JSON.stringify({ id: `sensor-${index}`, v: 20 + index / 64 })),
      qos: 1 as const,
      retain: false,
      dup: false,
      packetId: 1,
      clientId: 'bench',
      receivedAtMs: RECEIVED_AT_MS,
    }));
    const record: SerializedRecord = {
      topic: '',
      key: null,
      value: null,
      timestampMs: 0,
      headers: NO_HEADERS,
    };
    return {
      messages: all.length,
      run() {
        let sum = 0;
        for (const publication of all) {
          const fault = route.toRecord(publication, record);
          if (fault !== undefined) throw new Error(fault.message);
          sum += (record.value?.length ?? 0) + (record.key?.length ?? 0);
        }
        return sum;
      },
    };
  },
};
