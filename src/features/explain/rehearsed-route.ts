import { CONTRACTS } from '../../core/contract.ts';
import type { Publication } from '../../core/publication.ts';
import type { SerializedRecord } from '../../core/record.ts';
import { FILTERED, REFUSED, type Batch, type DecodeFault, type Route } from '../../core/route.ts';
import type { BoundDevice } from '../../decode/profile/device-bindings.ts';
import type { TranscoderRoute } from '../../decode/profile/transcoder-route.ts';

/** What a route says of a message, or of one of its readings. */
export interface Verdict {
  readonly type: string | undefined;
  readonly reading: number | undefined;
  /** Why it is no record; undefined: it is one. */
  readonly fault: DecodeFault | undefined;
  /** Who it is from, where the route came so far. */
  readonly device: BoundDevice | undefined;
  /** Where no record follows. */
  readonly ends: 'filtered' | 'refused' | undefined;
}

/** Hears of every message and every reading, before and after its route has looked at it. */
export interface RouteListener {
  begins(): void;
  said(verdict: Verdict): void;
}

/**
 * The gateway's own route, with somebody who listens to what it says. Its contract is `kafka`: in a rehearsal all
 * records are acknowledged at once, and nothing needs a journal.
 */
export class RehearsedRoute implements Route {
  readonly inner: TranscoderRoute;
  readonly profile: string;
  readonly pattern: string;
  readonly contract = CONTRACTS.kafka;
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly batch: Batch | undefined;
  readonly #listener: RouteListener;

  constructor(inner: TranscoderRoute, listener: RouteListener) {
    this.inner = inner;
    this.profile = inner.profile;
    this.pattern = inner.pattern;
    this.topic = inner.topic;
    this.deadLetterTopic = inner.deadLetterTopic;
    this.#listener = listener;
    const { batch } = inner;
    this.batch = batch && {
      open: (publication) => {
        const opened = batch.open(publication);
        if (typeof opened === 'number') return opened;
        this.#listener.begins();
        this.#said(opened, undefined, undefined);
        return opened;
      },
      select: (index) => {
        batch.select(index);
      },
      get selected() {
        return batch.selected;
      },
      alone: () => batch.alone(),
      close: () => {
        batch.close();
      },
    };
  }

  toRecord(publication: Publication, record: SerializedRecord): DecodeFault | undefined {
    this.#listener.begins();
    const fault = this.inner.toRecord(publication, record);
    this.#said(fault, this.inner.batch?.selected, this.inner.device);
    return fault;
  }

  taken(): void {
    this.inner.taken();
  }

  whenReady(callback: () => void): void {
    this.inner.whenReady(callback);
  }

  #said(fault: DecodeFault | undefined, reading: number | undefined, device: BoundDevice | undefined): void {
    const ends = fault === FILTERED ? 'filtered' : fault === REFUSED ? 'refused' : undefined;
    this.#listener.said({ type: this.profile, reading, fault, device, ends });
  }
}
