import type { CommitLoop } from '../commit-loop.ts';
import { AgeLimit, DropOldest, type DropOldestOptions } from './drop-oldest.ts';

/** What a refused record waits for: the callers queue, and are called back first in, first out, while there is room. */
export class WaitingRoom {
  readonly #waiters: (() => void)[] = [];
  readonly #hasRoom: () => boolean;
  /** True during {@link wake}: the caller has waited, and goes before those that come new. */
  waking = false;

  constructor(hasRoom: () => boolean) {
    this.#hasRoom = hasRoom;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Calls back once, when another try is worthwhile. The callback should try at once: room is not reserved. */
  wait(callback: () => void): void {
    this.#waiters.push(callback);
  }

  /** Calls those that wait, in order, while there is room; whoever is refused again goes to the end. */
  wake(): void {
    if (this.waking) return;
    this.waking = true;
    try {
      // Those who queue again during the round have their turn in the next one.
      for (let turns = this.#waiters.length; turns > 0 && this.#hasRoom(); turns--) {
        (this.#waiters.shift() as () => void)();
      }
    } finally {
      this.waking = false;
    }
  }

  /** Calls all of them: there will be no room any more, and their next try is told so. */
  dismiss(): void {
    for (const callback of this.#waiters.splice(0)) callback();
  }
}

export interface JournalRoomOptions extends DropOldestOptions {
  readonly commits: CommitLoop;
  /** False: the disk's side is gone for good. */
  readonly isAlive: () => boolean;
}

/** An ordinary record. */
const ORDINARY_BYTES = 1 << 10;

/** The journal's room within `maxBytes`: how much is taken, who waits for it, and what is given up for whom. */
export class JournalRoom {
  readonly #options: JournalRoomOptions;
  readonly #dropOldest: DropOldest;
  readonly #ageLimit: AgeLimit;
  /** Routes that wait for room. */
  readonly #blocked: WaitingRoom;
  /** Routes that give up their oldest records for it. */
  readonly #dropping: WaitingRoom;
  usedBytes = 0;
  /** What the latter gave up and have not used yet: nobody else gets it, or one route would be pushed out by another. */
  #reservedBytes = 0;
  #reserving = false;
  #dropWanted = false;
  #making: Promise<boolean> | undefined;
  #expiring = false;
  #blockedFirst = true;
  #closed = false;

  constructor(options: JournalRoomOptions) {
    this.#options = options;
    this.#dropOldest = new DropOldest(options);
    this.#ageLimit = new AgeLimit(options, options.commits);
    this.#blocked = new WaitingRoom(() => this.has(ORDINARY_BYTES));
    this.#dropping = new WaitingRoom(() => this.has(ORDINARY_BYTES, true));
  }

  /** Callers that wait. */
  get waiting(): number {
    return this.#blocked.waiting + this.#dropping.waiting;
  }

  /** Those who wait go first, or a small record would overtake a large one for ever. */
  get mayPass(): boolean {
    return this.waiting === 0 || this.#blocked.waking || this.#dropping.waking;
  }

  /** Within `maxBytes`. `own`: also in what routes that drop their oldest gave up. */
  fits(bytes: number, own = false): boolean {
    const { settings, commits, isAlive } = this.#options;
    const takenBytes = this.usedBytes + commits.pendingBytes + (own ? 0 : this.#reservedBytes);
    return isAlive() && takenBytes + bytes <= settings.maxBytes;
  }

  /** As {@link fits}, and there is memory too. */
  has(bytes: number, own = false): boolean {
    return this.fits(bytes, own) && this.#options.commits.hasRoom(bytes);
  }

  /** What the disk says. */
  used(bytes: number): void {
    if (this.#reserving) this.#reservedBytes += Math.max(0, this.usedBytes - bytes);
    else if (bytes < this.#options.settings.maxBytes / 2) this.#reservedBytes = 0;
    this.usedBytes = bytes;
    this.wake();
  }

  /** A record of a route that drops its oldest: may it go now? */
  mayUseOwn(bytes: number): boolean {
    const isFirst = this.#dropping.waiting === 0 || this.#dropping.waking;
    return isFirst && this.fits(bytes, true);
  }

  /** It went. */
  usedOwn(bytes: number): void {
    this.#reservedBytes = Math.max(0, this.#reservedBytes - bytes);
  }

  /** Where to wait for room of so many bytes. */
  waitingRoom(bytes: number, dropsOldest: boolean): WaitingRoom {
    if (!this.fits(bytes, dropsOldest)) {
      if (dropsOldest) this.#dropWanted = true;
      this.makeForWaiting();
    }
    return dropsOldest ? this.#dropping : this.#blocked;
  }

  /** As long as somebody waits and there is something that can go for him. */
  makeForWaiting(): void {
    if (this.#making !== undefined) return;
    void this.#make(() => this.#giveBack(() => this.#dropWanted || this.#dropping.waiting > 0)).then(
      (made) => {
        if (!made || this.#closed) return;
        this.wake();
        const isShort =
          (this.#blocked.waiting > 0 && !this.fits(ORDINARY_BYTES)) ||
          (this.#dropping.waiting > 0 && !this.fits(ORDINARY_BYTES, true));
        if (isShort) this.makeForWaiting();
      },
    );
  }

  /** To be called now and then, before the checkpoint: gives up what is too old. */
  tick(): void {
    const tooOld = this.#ageLimit.tick();
    if (tooOld.length > 0) void this.#expire(tooOld);
    // What could not be had before, on a disk that fails, is tried again.
    if (this.waiting > 0) this.makeForWaiting();
  }

  /** Other routes have other policies now. */
  policiesChanged(): void {
    this.#dropOldest.policiesChanged();
    if (this.waiting > 0) this.makeForWaiting();
  }

  /** The disk itself has no more space: what may go goes, whoever needs the room. True if there is more than before. */
  makeForDisk(): Promise<boolean> {
    return this.#make(() => this.#giveBack(() => true));
  }

  /** Gives up what these segments hold: the room is for whoever wants it. */
  async #expire(segments: readonly number[]): Promise<void> {
    if (this.#expiring) return;
    this.#expiring = true;
    while (this.#making !== undefined) await this.#making;
    await this.#make(async () => {
      await this.#dropOldest.expire(segments);
      return true;
    });
    this.#expiring = false;
  }

  /** One at a time: who comes meanwhile waits for the same. */
  #make(make: () => Promise<boolean>): Promise<boolean> {
    this.#making ??= make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  /** Gives room back: what is done; then what may be dropped. */
  async #giveBack(mayDrop: () => boolean): Promise<boolean> {
    const { book, housekeeping } = this.#options;
    if (book.hasFinished) {
      await housekeeping.checkpoint(true);
      return true;
    }
    if (!mayDrop()) return false;
    this.#dropWanted = false;
    this.#reserving = true;
    try {
      return await this.#dropOldest.run();
    } finally {
      this.#reserving = false;
    }
  }

  /** Both have their turn first, or one would take all of what is scarce. */
  wake(): void {
    this.#blockedFirst = !this.#blockedFirst;
    if (this.#blockedFirst) this.#blocked.wake();
    this.#dropping.wake();
    if (!this.#blockedFirst) this.#blocked.wake();
  }

  /** There will be no room any more. */
  close(): void {
    this.#closed = true;
    this.#blocked.dismiss();
    this.#dropping.dismiss();
  }
}
