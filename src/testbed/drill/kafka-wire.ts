import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { FrameSplitter } from '../../kafka/protocol/frames.ts';
import { readPartition } from '../../kafka/protocol/produce.ts';
import { ProtocolReader, ProtocolWriter, int32 } from '../../kafka/protocol/protocol-bytes.ts';
import type { ClientSecurity } from '../../kafka/security/security.ts';
import { TcpProxy } from './tcp-proxy.ts';
import type { WireState } from './tcp-proxy.ts';

/** Kafka protocol guide, "Api Keys". */
const PRODUCE = 0;
const METADATA = 3;

/** The first flexible version of Produce and of Metadata alike (KIP-482). */
const FLEXIBLE = 9;
/** Of Produce, the first that may name brokers (KIP-951), and the last that names topics rather than ids. */
const PRODUCE_ENDPOINTS = 10;
const PRODUCE_TOPIC_NAMES = 12;
const METADATA_NEWEST = 13;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where a client is to find a broker instead. Throws where it is not to know of that broker. */
export type AddressMap = (broker: Address) => Address;

interface Asked {
  readonly api: number;
  readonly version: number;
}

/**
 * What one connection between a client and a broker carries, with other addresses in it: brokers tell their own,
 * and a client would go round a proxy after the first answer. Metadata gets the proxies' addresses; the brokers
 * in an answer to Produce are left out, so that the client asks for them. Everything else passes byte for byte,
 * logins included.
 */
export class AddressTranslation {
  readonly #addresses: AddressMap;
  readonly #requests = new FrameSplitter();
  readonly #responses = new FrameSplitter();
  /** By correlation id: what is not answered yet, and may have addresses in its answer. */
  readonly #asked = new Map<number, Asked>();

  constructor(addresses: AddressMap) {
    this.#addresses = addresses;
  }

  toTarget(chunk: Buffer): { bytes: Buffer } {
    for (const frame of this.#requests.take(chunk)) {
      // size int32, api_key int16, api_version int16, correlation_id int32
      if (frame.length < 12) continue;
      const [api, version] = [frame.readInt16BE(4), frame.readInt16BE(6)];
      if (api === METADATA || (api === PRODUCE && version >= PRODUCE_ENDPOINTS)) {
        this.#asked.set(frame.readInt32BE(8), { api, version });
      }
    }
    return { bytes: chunk };
  }

  /** @throws whatever the address map throws, NotKafkaError, or RangeError for versions that are not known */
  toClient(chunk: Buffer): { bytes: Buffer } {
    const frames = this.#responses.take(chunk).map((frame) => this.#translate(frame));
    return { bytes: frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames) };
  }

  #translate(frame: Buffer): Buffer {
    const correlationId = frame.readInt32BE(4);
    const asked = this.#asked.get(correlationId);
    if (asked === undefined) return frame;
    this.#asked.delete(correlationId);
    const body =
      asked.api === METADATA ? this.#metadata(frame, asked.version) : produce(frame, asked.version);
    return body === undefined ? frame : Buffer.concat([int32(body.length), body]);
  }

  /** Metadata response: throttle_time_ms (3+), brokers, and the rest as it is. */
  #metadata(frame: Buffer, version: number): Buffer {
    if (version > METADATA_NEWEST) throw new RangeError(`Metadata ${version} is not known yet`);
    const flexible = version >= FLEXIBLE;
    const bytes = frame.subarray(4);
    const reader = new ProtocolReader(bytes, flexible);
    reader.int32(); // correlation_id
    reader.tags();
    if (version >= 3) reader.int32();
    const begin = reader.position;
    const write = new ProtocolWriter(flexible);
    const brokers = reader.array(() => {
      const nodeId = reader.int32();
      const { host, port } = this.#addresses({ host: reader.string(), port: reader.int32() });
      const rack = version >= 1 ? [write.string(reader.nullableString())] : [];
      reader.tags();
      return Buffer.concat([int32(nodeId), write.string(host), int32(port), ...rack, write.noTags()]);
    });
    return Buffer.concat([
      bytes.subarray(0, begin),
      write.length(brokers.length),
      ...brokers,
      bytes.subarray(reader.position),
    ]);
  }
}

/** Produce response without its tagged fields, the last thing in it; undefined where it has none. */
function produce(frame: Buffer, version: number): Buffer | undefined {
  if (version > PRODUCE_TOPIC_NAMES) throw new RangeError(`Produce ${version} is not known yet`);
  const bytes = frame.subarray(4);
  const reader = new ProtocolReader(bytes);
  reader.int32(); // correlation_id
  reader.tags();
  reader.array(() => {
    reader.string();
    reader.array(() => {
      reader.int32();
      return readPartition(reader, version);
    });
    reader.tags();
  });
  reader.int32(); // throttle_time_ms
  if (bytes[reader.position] === 0) return undefined;
  return Buffer.concat([bytes.subarray(0, reader.position), new ProtocolWriter(true).noTags()]);
}

/**
 * A wire between the gateway under test and every broker of a cluster: a proxy in front of each, and all
 * addresses that brokers tell are those of the proxies. TLS ends here: brokers' certificates are verified by the
 * proxies, as configured, and the gateway speaks to them in the clear on loopback; logins pass as they are.
 */
export class KafkaWire {
  readonly #security: ClientSecurity;
  readonly #clock: Clock;
  readonly #proxies = new Map<string, TcpProxy>();
  /** Brokers that were heard of while the wire was open already. */
  readonly #opening = new Map<string, Promise<void>>();
  #state: WireState = { kind: 'open' };
  #isClosed = false;

  static async open(brokers: readonly Address[], security: ClientSecurity, clock: Clock): Promise<KafkaWire> {
    const wire = new KafkaWire(security, clock);
    try {
      for (const broker of brokers) await wire.#open(broker);
    } catch (error) {
      await wire.close();
      throw error;
    }
    return wire;
  }

  private constructor(security: ClientSecurity, clock: Clock) {
    this.#security = security;
    this.#clock = clock;
  }

  get bootstrapServers(): string[] {
    return [...this.#proxies.values()].map(({ port }) => `127.0.0.1:${port}`);
  }

  readonly setState = (state: WireState): void => {
    this.#state = state;
    for (const proxy of this.#proxies.values()) proxy.setState(state);
  };

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
    this.#proxies.clear();
  }

  async #open(broker: Address): Promise<void> {
    const name = nameOf(broker);
    if (this.#proxies.has(name)) return;
    const proxy = await TcpProxy.open({
      connect: () => this.#connect(broker),
      translation: () => new AddressTranslation((address) => this.#proxyOf(address)),
      clock: this.#clock,
    });
    proxy.setState(this.#state);
    this.#proxies.set(name, proxy);
  }

  #connect({ host, port }: Address): Socket {
    const { tls } = this.#security;
    if (tls === undefined) return connectTcp({ host, port, noDelay: true });
    const socket = connectTls({ host, port, ...tls(host) });
    socket.setNoDelay(true);
    return socket;
  }

  /**
   * A broker that joined the cluster since the drill began is given a proxy; the answer that named it is not
   * let through, so that the gateway asks again.
   */
  #proxyOf(broker: Address): Address {
    const name = nameOf(broker);
    const proxy = this.#proxies.get(name);
    if (proxy !== undefined) return { host: '127.0.0.1', port: proxy.port };
    if (!this.#isClosed && !this.#opening.has(name)) {
      const opening = this.#open(broker)
        .catch(() => undefined)
        .finally(() => this.#opening.delete(name));
      this.#opening.set(name, opening);
    }
    throw new Error(`broker ${name} has no proxy yet`);
  }
}

function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}
