import type { DeviceProfile } from '../../core/profile/profile.ts';
import { payloadWriter } from '../../decode/decoders.ts';
import { EdgeNodeWriter } from '../../decode/sparkplug/edge-node-writer.ts';
import { unfit, type SimulatedType } from './device.ts';

/**
 * The device types that a fleet can play: those of `wanted`, or all whose profile has a `simulate:` section.
 * @throws {FleetError} `FLEET_PROFILE` when a wanted type is not there or can't be simulated, or none is left.
 */
export function simulatedTypes(
  profiles: readonly DeviceProfile[],
  wanted: readonly string[] = [],
): SimulatedType[] {
  const unknown = wanted.find((type) => profiles.every((profile) => profile.type !== type));
  if (unknown !== undefined) {
    const known = profiles.map(({ type }) => type).join(', ');
    throw unfit(`no device profile has the type ${unknown}; there are: ${known}`);
  }
  const chosen = profiles.filter(({ type, simulate }) =>
    wanted.length > 0 ? wanted.includes(type) : simulate !== undefined,
  );
  if (chosen.length === 0) {
    throw unfit('no device profile has a simulate: section; add one to simulate it');
  }
  return chosen.map(simulatedType);
}

function simulatedType(profile: DeviceProfile): SimulatedType {
  const { decode, type } = profile;
  if (decode.kind === 'sparkplug') return { profile, session: (device) => new EdgeNodeWriter(device) };
  const encode = payloadWriter(decode);
  if (encode !== undefined) return { profile, encode };
  throw unfit(`devices of type ${type} can't be simulated: nothing writes their payloads`);
}
