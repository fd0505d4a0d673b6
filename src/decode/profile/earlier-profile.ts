import { isDeepStrictEqual } from 'node:util';
import type { DeviceProfile } from '../../core/profile/profile.ts';

/**
 * Whether what is remembered of devices by one version of a profile means the same to another: sequences, clocks,
 * and the values that a filter let pass last. It does unless a key changed that these are made of; metrics without
 * deadband, attributes, the schema and where records go may all change.
 */
export function remembersAlike(before: DeviceProfile, after: DeviceProfile): boolean {
  return isDeepStrictEqual(memoryOf(before), memoryOf(after));
}

function memoryOf({ type, device, time, sequence, filter, metrics }: DeviceProfile): object {
  // Their order is that of the values that passed last.
  const deadbands = [...metrics].filter(([, { deadband }]) => deadband !== undefined);
  return { type, device, time, sequence, filter, deadbands };
}
