import type {
  DeviceLink,
  LinkListener,
  LinkOptions,
  OpenLink,
} from '../../../src/testbed/fleet/mqtt-link.ts';

/** A connection under the test's control: it acknowledges when it is told to. */
export class FakeLink implements DeviceLink {
  readonly options: LinkOptions;
  readonly listener: LinkListener;
  readonly published: { topic: string; payload: Uint8Array }[] = [];
  readonly unsettled: ((error: Error | undefined) => void)[] = [];
  ended = false;

  constructor(options: LinkOptions, listener: LinkListener) {
    this.options = options;
    this.listener = listener;
  }

  publish(topic: string, payload: Uint8Array, settled: (error: Error | undefined) => void): void {
    this.published.push({ topic, payload });
    this.unsettled.push(settled);
  }

  end(): Promise<void> {
    this.ended = true;
    return Promise.resolve();
  }

  settle(count = Infinity): void {
    for (const settled of this.unsettled.splice(0, count)) settled(undefined);
  }
}

export class FakeLinks {
  readonly all: FakeLink[] = [];

  readonly open: OpenLink = (options, listener) => {
    const link = new FakeLink(options, listener);
    this.all.push(link);
    return link;
  };

  upAll(): void {
    // The list grows on the way: one link's first answer lets the fleet open another, and `of` sees that.
    for (const link of this.all) link.listener.up();
  }

  settleAll(): void {
    for (const link of this.all) link.settle();
  }

  published(): number {
    return this.all.reduce((sum, link) => sum + link.published.length, 0);
  }
}
