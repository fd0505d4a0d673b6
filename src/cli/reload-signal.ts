import { isatty } from 'node:tty';

/**
 * SIGHUP asks for a reload, as of other daemons. It is also what a closing terminal sends to what runs in it: then
 * it is the end, as SIGTERM.
 */
export class ReloadSignal {
  readonly #terminal = [0, 1, 2].find((descriptor) => isatty(descriptor));
  #reload: (() => void) | undefined;
  #early = false;

  constructor() {
    process.on('SIGHUP', () => {
      if (this.#terminal !== undefined && !isatty(this.#terminal)) process.kill(process.pid, 'SIGTERM');
      else if (this.#reload === undefined) this.#early = true;
      else this.#reload();
    });
  }

  /** Calls back at each signal from now on, and at once if one came already. */
  connect(reload: () => void): void {
    this.#reload = reload;
    if (this.#early) reload();
  }
}
