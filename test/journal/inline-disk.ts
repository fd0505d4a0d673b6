import type { DiskOperations, DiskPort } from '../../src/journal/disk/disk-port.ts';

/** The disk's side without a thread: each operation happens when its turn comes, and can be held back. */
export class InlineDisk implements DiskPort {
  onLost: (error: Error) => void = () => {};
  readonly #disk: DiskOperations;
  /** Answers wait for it: a disk that hangs. */
  gate: Promise<void> = Promise.resolve();

  constructor(disk: DiskOperations) {
    this.#disk = disk;
  }

  async #call<K extends keyof DiskOperations>(
    operation: K,
    parameters: Parameters<DiskOperations[K]>,
  ): Promise<ReturnType<DiskOperations[K]>> {
    await this.gate;
    return Reflect.apply(this.#disk[operation], this.#disk, parameters) as ReturnType<DiskOperations[K]>;
  }

  readonly open: DiskPort['open'] = (...parameters) => this.#call('open', parameters);
  readonly commit: DiskPort['commit'] = (...parameters) => this.#call('commit', parameters);
  readonly read: DiskPort['read'] = (...parameters) => this.#call('read', parameters);
  readonly checkpoint: DiskPort['checkpoint'] = (...parameters) => this.#call('checkpoint', parameters);
  readonly clear: DiskPort['clear'] = (...parameters) => this.#call('clear', parameters);
  readonly compact: DiskPort['compact'] = (...parameters) => this.#call('compact', parameters);
  readonly survey: DiskPort['survey'] = (...parameters) => this.#call('survey', parameters);
  readonly close: DiskPort['close'] = (...parameters) => this.#call('close', parameters);
  abandon(): void {}
}
