import { connect } from 'node:net';

import { systemClock } from '../../src/core/clock.ts';
import { TcpProxy } from '../../src/testbed/drill/tcp-proxy.ts';
import type { Translated, Translation, WireState } from '../../src/testbed/drill/tcp-proxy.ts';
import { AddressTranslation, type AddressMap } from '../../src/testbed/drill/kafka-wire.ts';
import { FrameSplitter } from '../../src/kafka/protocol/frames.ts';

/** Kafka protocol guide, "Api Keys". */
const PRODUCE = 0;

/** What goes wrong on the wire. */
export interface WireFaults {
  /** Asked once for each Produce response: true loses it, and all that its connection would have brought after it. */
  readonly losesResponse?: () => boolean;
  /**
   * Asked once for each request and response: how many of its bytes arrive before the connection is reset at
   * both ends; undefined: all, and it isn't.
   */
  readonly cutsAfter?: (frameBytes: number) => number | undefined;
}

/** TCP proxies in front of all brokers of a cluster, whose clients know no other addresses. */
export class FaultyWire {
  readonly bootstrapServers: string;
  readonly #proxies: ReadonlyMap<number, TcpProxy>;

  static async open(brokerPorts: readonly number[], faults: WireFaults = {}): Promise<FaultyWire> {
    const proxies = new Map<number, TcpProxy>();
    const addresses: AddressMap = ({ port }) => {
      const proxy = proxies.get(port);
      if (proxy === undefined) throw new RangeError(`no proxy in front of broker port ${port}`);
      return { host: '127.0.0.1', port: proxy.port };
    };
    for (const port of brokerPorts) {
      const proxy = await TcpProxy.open({
        connect: () => connect({ host: '127.0.0.1', port, noDelay: true }),
        translation: () => new FaultyFrames(addresses, faults),
        clock: systemClock,
      });
      proxies.set(port, proxy);
    }
    return new FaultyWire(proxies);
  }

  private constructor(proxies: ReadonlyMap<number, TcpProxy>) {
    this.#proxies = proxies;
    this.bootstrapServers = [...proxies.values()].map(({ port }) => `127.0.0.1:${port}`).join(',');
  }

  setState(state: WireState): void {
    for (const proxy of this.#proxies.values()) proxy.setState(state);
  }

  /** Connections that are there are half-open from now on. */
  silenceAll(): void {
    for (const proxy of this.#proxies.values()) proxy.silenceAll();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }
}

/** One connection's requests and responses, some of which don't arrive. */
class FaultyFrames implements Translation {
  readonly #faults: WireFaults;
  readonly #addresses: AddressTranslation;
  readonly #requests = new FrameSplitter();
  readonly #responses = new FrameSplitter();
  readonly #produceRequests = new Set<number>();
  #isSilent = false;
  #isCut = false;

  constructor(addresses: AddressMap, faults: WireFaults) {
    this.#addresses = new AddressTranslation(addresses);
    this.#faults = faults;
  }

  toTarget(chunk: Buffer): Translated {
    const frames = this.#requests.take(this.#addresses.toTarget(chunk).bytes);
    for (const frame of frames) {
      // size, api_key int16, api_version int16, correlation_id int32
      if (frame.readInt16BE(4) === PRODUCE) this.#produceRequests.add(frame.readInt32BE(8));
    }
    return this.#cut(frames);
  }

  toClient(chunk: Buffer): Translated {
    const frames = this.#responses.take(this.#addresses.toClient(chunk).bytes).filter((frame) => {
      if (this.#produceRequests.delete(frame.readInt32BE(4)) && !this.#isSilent) {
        this.#isSilent = this.#faults.losesResponse?.() ?? false;
      }
      return !this.#isSilent;
    });
    return this.#cut(frames);
  }

  /** What of the frames arrives. Behind a cut comes nothing: TCP can't deliver a frame after half of another. */
  #cut(frames: readonly Buffer[]): Translated {
    const arriving: Buffer[] = [];
    for (const frame of this.#isCut ? [] : frames) {
      const cutAfter = this.#faults.cutsAfter?.(frame.length);
      arriving.push(frame.subarray(0, cutAfter));
      this.#isCut = cutAfter !== undefined;
      if (this.#isCut) break;
    }
    return { bytes: Buffer.concat(arriving), thenReset: this.#isCut };
  }
}
