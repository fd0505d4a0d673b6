import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { ContractName } from '../../src/core/contract.ts';

const devices = resolve(import.meta.dirname, '../../devices');

/** The shipped environment sensor with another contract, as a file of a gateway's folder. */
export function sensorWith(ack: ContractName): Readonly<Record<string, string>> {
  const text = readFileSync(join(devices, 'env-sensor.yaml'), 'utf8').replace(/^ack:.*$/m, '');
  return { 'devices/env-sensor.yaml': `${text}\nack: ${ack}\n` };
}

/** One type of sensor for each contract, `env-<contract>`, in a folder of profiles of their own. */
export function sensorsOf(contracts: readonly ContractName[]): Readonly<Record<string, string>> {
  const text = readFileSync(join(devices, 'env-sensor.yaml'), 'utf8').replace(/^ack:.*$/m, '');
  return Object.fromEntries(
    contracts.map((ack) => [
      `sensors/${ack}.yaml`,
      `${text.replace('type: env-sensor', `type: env-${ack}`).replace('topic: fleet/', `topic: ${ack}/`)}\nack: ${ack}\n`,
    ]),
  );
}
