import { SluiceError } from '../core/errors.ts';
import type { DeviceProfile } from '../core/profile.ts';
import { loadMessageType } from '../decode/protobuf.ts';
import type { PayloadObject, SimulatedType } from '../fleet/device.ts';

/**
 * The device types that a fleet can play: those of `wanted`, or all whose profile has a `simulate:` section.
 * @throws {SluiceError} `FLEET_PROFILE` when a wanted type is not there, or none is left.
 */
export function simulatedTypes(
  profiles: readonly DeviceProfile[],
  wanted: readonly string[] = [],
): SimulatedType[] {
  const unknown = wanted.find((type) => profiles.every((profile) => profile.type !== type));
  if (unknown !== undefined) {
    const known = profiles.map(({ type }) => type).join(', ');
    throw new SluiceError('FLEET_PROFILE', `no device profile has the type ${unknown}; there are: ${known}`);
  }
  const chosen = profiles.filter(({ type, simulate }) =>
    wanted.length > 0 ? wanted.includes(type) : simulate !== undefined,
  );
  if (chosen.length === 0) {
    throw new SluiceError(
      'FLEET_PROFILE',
      'no device profile has a simulate: section; add one to simulate it',
    );
  }
  return chosen.map((profile) => ({ profile, encode: encoderOf(profile) }));
}

function encoderOf({ decode }: DeviceProfile): (payload: PayloadObject) => Uint8Array {
  if (decode.kind !== 'protobuf') return (payload) => Buffer.from(JSON.stringify(payload));
  const type = loadMessageType(decode.file, decode.message);
  return (payload) => type.encode(payload);
}
