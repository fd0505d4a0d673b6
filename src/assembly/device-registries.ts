import { readRegistryFile, type RegistryProblem, type RegistryRows } from '../config/registry-file.ts';
import type { Cancel, Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { RegistrySpec } from '../core/profile/normaliser-spec.ts';
import type { DeviceLookup } from '../core/route.ts';
import { stampOf } from './file-watch.ts';

/** How often the files are looked at. Looking notices a rename, or a mount that swaps links, as well as a write. */
const LOOK_MS = 2_000;

/** One list of devices as it was read last. */
class DeviceRegistry implements DeviceLookup {
  version = 0;
  readonly file: string;
  readonly #key: string;
  #rows: RegistryRows = new Map();
  #stamp = '';
  /** The fault in the file as it was seen last. */
  problem: RegistryProblem | undefined;

  constructor({ file, key }: RegistrySpec) {
    this.file = file;
    this.#key = key;
  }

  find(deviceId: string): ReadonlyMap<string, string> | undefined {
    return this.#rows.get(deviceId);
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Reads the file if it has changed, and returns whether it has. A faulty file changes nothing. */
  refresh(): boolean {
    const stamp = stampOf(this.file);
    if (stamp === this.#stamp) return false;
    this.#stamp = stamp;
    const read = readRegistryFile(this.file, this.#key);
    this.problem = 'problem' in read ? read.problem : undefined;
    if ('rows' in read) {
      this.#rows = read.rows;
      this.version++;
    }
    return true;
  }
}

/** The lists of devices that profiles name. Each is read once, however many profiles share it. */
export class DeviceRegistries {
  readonly #registries = new Map<string, DeviceRegistry>();
  #cancel: Cancel = () => {};

  /** A profile's list, and the present fault in its file. */
  open(spec: RegistrySpec) {
    const name = nameOf(spec);
    let registry = this.#registries.get(name);
    if (registry === undefined) this.#registries.set(name, (registry = new DeviceRegistry(spec)));
    registry.refresh();
    return { devices: registry, problem: registry.problem };
  }

  /** Forgets the lists that no profile names any more. */
  retain(specs: readonly RegistrySpec[]): void {
    const named = specs.map(nameOf);
    for (const name of this.#registries.keys()) if (!named.includes(name)) this.#registries.delete(name);
  }

  /** Looks for changes from now on, until {@link stop}. */
  watch(clock: Clock, logger: Logger): void {
    this.#cancel = clock.schedule(() => {
      for (const registry of this.#registries.values()) look(registry, logger);
      this.watch(clock, logger);
    }, LOOK_MS);
  }

  stop(): void {
    this.#cancel();
  }
}

function look(registry: DeviceRegistry, logger: Logger): void {
  if (!registry.refresh()) return;
  const { file, size, problem } = registry;
  const fields = { file, devices: size, ...problem };
  if (problem === undefined) logger.info(fields, 'the device registry has changed and was read again');
  else logger.warn(fields, 'the changed device registry is faulty: the old one stays');
}

function nameOf({ file, key }: RegistrySpec): string {
  return `${key}\n${file}`;
}
