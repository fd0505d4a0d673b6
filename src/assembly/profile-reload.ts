import { describeFault } from '../config/faults.ts';
import { keysToRestartFor } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import { contractsThat } from '../core/contract.ts';
import { keyFault, type ConfigFault } from '../core/fault.ts';
import type { Logger } from '../core/logger.ts';
import { metric, type Metric } from '../core/metric.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { promisesDisk } from './journal-store.ts';
import { promiseFaults, type Blueprint, type DrawnBlueprint } from './blueprint.ts';
import { FileWatch } from './file-watch.ts';
import { registryFaults, type RouteSet } from './route-set.ts';

export interface ProfileReloadOptions {
  /** What the gateway was built from. */
  readonly blueprint: Blueprint;
  /** Reads everything again, for a blueprint that takes the place of the running one. */
  readonly redraw: (running: Blueprint) => DrawnBlueprint;
  /** Puts a sound set to use; must not throw. */
  readonly exchange: (set: RouteSet) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type ReloadCause = 'signal' | 'change';

/**
 * Reads device profiles and schemas again while the gateway runs, all or nothing: a set with a fault is refused,
 * and the set in use stays as it is. Every other change of the configuration needs a restart, and is named.
 */
export class ProfileReload {
  readonly #options: ProfileReloadOptions;
  #watch: FileWatch | undefined;
  #running: Blueprint;
  /** The files of the last set that was refused, because a change of them may mend it. */
  #refusedSources: readonly string[] = [];
  #generation = 1;
  #refusals = 0;
  #acceptedAtMs: number;
  /** When and why a newer set was refused. */
  #refusal: string | undefined;

  constructor(options: ProfileReloadOptions) {
    this.#options = options;
    this.#running = options.blueprint;
    this.#acceptedAtMs = options.clock.wallMs();
  }

  /** Looks for changes of files from now on, unless the configuration turns this off. */
  start(): void {
    if (this.#running.config.profilesReload !== 'change') return;
    this.#watch = new FileWatch({
      paths: () => [...new Set([...this.#running.sources, ...this.#refusedSources])],
      onChange: () => {
        this.reload('change');
      },
      clock: this.#options.clock,
    });
    this.#watch.learn();
  }

  stop(): void {
    this.#watch?.stop();
  }

  /**
   * Reads everything again, now. Returns whether the new set is in use. Never throws for a mistake in what a
   * person wrote.
   */
  reload(cause: ReloadCause): boolean {
    const { redraw, exchange, logger } = this.#options;
    this.#watch?.aboutToRead();
    const { faults, blueprint } = redraw(this.#running);
    const all = faults.length > 0 ? faults : restartFaults(this.#options.blueprint, this.#running, blueprint);
    if (all.length > 0) {
      this.#refuse(cause, all, blueprint);
      return false;
    }
    this.#tellRestarts(blueprint);
    this.#running = blueprint;
    this.#refusedSources = [];
    this.#refusal = undefined;
    this.#generation++;
    this.#acceptedAtMs = this.#options.clock.wallMs();
    exchange(blueprint);
    this.#watch?.learn();
    const types = blueprint.profiles.map(({ type }) => type);
    logger.info({ cause, generation: this.#generation, types }, 'the device profiles were read again');
    return true;
  }

  #refuse(cause: ReloadCause, faults: readonly ConfigFault[], { sources }: Blueprint): void {
    const { logger, clock } = this.#options;
    const lines = faults.map(describeFault);
    const reason = lines.length === 1 ? `${lines[0]}` : `${lines[0]} (and ${lines.length - 1} more)`;
    this.#refusals++;
    this.#refusal = `${new Date(clock.wallMs()).toISOString()}: ${reason}`;
    this.#refusedSources = sources;
    this.#watch?.learn();
    const fields = { cause, generation: this.#generation, faults: lines };
    logger.error(fields, 'the changed device profiles are refused: the old ones stay in use');
  }

  /** Names changes other than those of profiles. */
  #tellRestarts({ loaded }: Blueprint): void {
    const keys = keysToRestartFor(this.#options.blueprint.loaded.document, loaded.document);
    if (keys.length === 0) return;
    this.#options.logger.warn({ keys }, `needs a restart: ${keys.join(', ')}`);
  }

  /** For readiness: which set is in use, and why a newer one is not. The gateway works either way. */
  description(): string {
    const { profiles } = this.#running;
    const since = new Date(this.#acceptedAtMs).toISOString();
    const inUse = `generation ${this.#generation} of ${profiles.length} device profiles, since ${since}`;
    return this.#refusal === undefined ? inUse : `${inUse}; a newer set was refused at ${this.#refusal}`;
  }

  metrics(): Metric[] {
    const generationHelp =
      'Which set of device profiles is in use: 1 from the start, one more for each reload.';
    const loadedHelp = 'When the set of device profiles in use was read.';
    const refusalsHelp = 'Reloads that were refused because of faults.';
    const refusedHelp = '1 while the device profiles on disk are not those in use, because they have faults.';
    return [
      metric('gauge', 'sluice_profiles_generation', generationHelp, () => this.#generation),
      metric(
        'gauge',
        'sluice_profiles_loaded_timestamp_seconds',
        loadedHelp,
        () => this.#acceptedAtMs / 1_000,
      ),
      metric('counter', 'sluice_profiles_refused_total', refusalsHelp, () => this.#refusals),
      metric('gauge', 'sluice_profiles_refused', refusedHelp, () => (this.#refusal === undefined ? 0 : 1)),
    ];
  }
}

const WITHOUT_JOURNAL = contractsThat(({ needsJournal }) => !needsJournal).join(' or ');

/** Demands of sound profiles on the rest of the configuration that only a restart can meet. */
function restartFaults(started: Blueprint, running: Blueprint, drawn: Blueprint): ConfigFault[] {
  const { profiles, loaded } = drawn;
  const { config, producer } = started;
  const ackFault = (profile: DeviceProfile, expected: string): ConfigFault =>
    loaded.locate(keyFault(['ack'], profile.ack.name, expected), profile);
  const isOpen = started.profiles.some(promisesDisk);
  const onDisk = new Map(running.profiles.filter(promisesDisk).map(({ type, ack }) => [type, ack.name]));
  const faults = [
    // The journal is opened when the gateway starts, or not at all.
    ...(isOpen ? [] : profiles.filter(promisesDisk)).map((profile) =>
      ackFault(profile, `${WITHOUT_JOURNAL}, because no journal is open`),
    ),
    // The type's records on disk are still to be sent, and its devices' next messages would overtake them.
    ...profiles.flatMap((profile) => {
      const before = onDisk.get(profile.type);
      if (before === undefined || promisesDisk(profile)) return [];
      return [ackFault(profile, `${before}, as before`)];
    }),
    ...profiles.flatMap((profile) =>
      registryFaults(config, profile).map((fault) => loaded.locate(fault, profile)),
    ),
    ...promiseFaults({ config, profiles }, producer).map((fault) =>
      loaded.locate({ ...fault, path: ['kafka', 'producer', ...fault.path] }),
    ),
  ];
  const needsRestart = (expected: string): string => `${expected}; as configured it needs a restart`;
  return faults.map((fault) => ({ ...fault, expected: needsRestart(fault.expected) }));
}
