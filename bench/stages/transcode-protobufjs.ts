import { join, resolve } from 'node:path';
import protobuf from 'protobufjs';
import { messages, withBlueprint } from './fleet.ts';
import type { Stage } from './stage.ts';

const root = resolve(import.meta.dirname, '../..');
const RECEIVED_AT_MS = Date.UTC(2026, 0, 1, 1);

interface FieldSensor {
  readonly ts: number;
  readonly seq: number;
  readonly [field: string]: unknown;
}

/**
 * What "transcode, normalised" does, written with protobufjs as one would: decode, take the fields, encode the same
 * envelope. No toObject, no fromObject, no verify; and neither key nor headers nor a look at the clock.
 */
export const stage: Stage = {
  name: 'the same envelope by protobufjs',
  prepare() {
    // Times are numbers, which are quicker than Longs, and exact for some time yet.
    protobuf.util.Long = undefined as never;
    protobuf.configure();
    const sensor = type('bench/proto/field_sensor.proto', 'bench.FieldSensor');
    const telemetry = type('proto/sluice/v1/telemetry.proto', 'sluice.v1.Telemetry');
    const [profile] = withBlueprint(({ profiles }) => profiles);
    const metrics = [...profile!.metrics].map(([name, { field, unit }]) => ({ name, field, unit }));
    const all = messages().map(({ topic, payload }) => {
      const [, site, device] = topic.split('/');
      return { payload, site, device };
    });
    return {
      messages: all.length,
      run() {
        let sum = 0;
        for (const { payload, site, device } of all) {
          const fields = sensor.decode(payload) as unknown as FieldSensor;
          const message = {
            device_id: device,
            device_type: profile!.type,
            attributes: { site },
            observed_at_ms: fields.ts,
            received_at_ms: RECEIVED_AT_MS,
            sequence: fields.seq,
            metrics: metrics.map(({ name, field, unit }) =>
              field === 'rssi'
                ? { name, unit, int_value: fields[field] }
                : { name, unit, double_value: fields[field] },
            ),
          };
          sum += telemetry.encode(message).finish().length;
        }
        return sum;
      },
    };
  },
};

function type(file: string, name: string): protobuf.Type {
  return new protobuf.Root().loadSync(join(root, file), { keepCase: true }).lookupType(name);
}
