import { readPartition } from '../../kafka/protocol/produce.ts';
import { int32, ProtocolReader, ProtocolWriter } from '../../kafka/protocol/protocol-bytes.ts';
import { FrameSplitter } from '../../kafka/protocol/frame-splitter.ts';

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
