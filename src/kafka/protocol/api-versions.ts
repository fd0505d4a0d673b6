import { UnsupportedBrokerError } from '../../producer/errors.ts';
import { KafkaErrorCode } from '../../producer/cluster/kafka-errors.ts';
import { ProtocolReader, ProtocolWriter } from './protocol-bytes.ts';

/** A Kafka API in the version that is spoken, as the request's header names it. */
export interface ApiVersion {
  readonly key: number;
  readonly version: number;
  /** Whether request and response headers end with tagged fields (KIP-482). */
  readonly requestTags: boolean;
  readonly responseTags: boolean;
}

/** Who sends a request to a broker and brings its answer: a connection, before its login and after. */
export interface RequestSender {
  /** Resolves with the response's body, behind its header. */
  request(api: ApiVersion, body: readonly Uint8Array[]): Promise<Buffer>;
}

/** The same, when it is known what the broker speaks. */
export interface NegotiatedSender extends RequestSender {
  readonly versions: NegotiatedVersions;
}

const KAFKA_2_1 = 'Kafka 2.1 or newer is needed';
const LOGIN = 'a login needs Kafka 2.1 or newer';
const IDEMPOTENCE = 'idempotence needs Kafka 2.5 or newer: set enable.idempotence to false, or upgrade';

/**
 * The APIs we speak: the versions that our code can encode, the first that is flexible (KIP-482), and what to tell
 * about a broker that is too old for them.
 */
const API = {
  produce: { key: 0, name: 'Produce', least: 7, most: 12, flexible: 9, needs: KAFKA_2_1 },
  fetch: { key: 1, name: 'Fetch', least: 7, most: 12, flexible: 12, needs: KAFKA_2_1 },
  listOffsets: { key: 2, name: 'ListOffsets', least: 2, most: 6, flexible: 6, needs: KAFKA_2_1 },
  metadata: { key: 3, name: 'Metadata', least: 7, most: 12, flexible: 9, needs: KAFKA_2_1 },
  saslHandshake: { key: 17, name: 'SaslHandshake', least: 1, most: 1, flexible: 2, needs: LOGIN },
  initProducerId: { key: 22, name: 'InitProducerId', least: 3, most: 4, flexible: 2, needs: IDEMPOTENCE },
  saslAuthenticate: { key: 36, name: 'SaslAuthenticate', least: 0, most: 2, flexible: 2, needs: LOGIN },
} as const;

export type ApiName = keyof typeof API;

/** The Kafka release that first spoke each version of Produce: how a broker's age shows. */
const RELEASE_OF_PRODUCE: readonly (readonly [version: number, release: string])[] = [
  [12, '4.0'],
  [11, '3.8'],
  [10, '3.7'],
  [9, '2.8'],
  [8, '2.4'],
  [7, '2.1'],
  [6, '2.0'],
  [5, '1.0'],
  [3, '0.11'],
  [2, '0.10'],
];

type VersionRange = readonly [least: number, most: number];

/** Which version of each API a broker and we both speak. */
export class NegotiatedVersions {
  readonly #ranges: ReadonlyMap<number, VersionRange>;
  readonly #broker: string;

  constructor(broker: string, ranges: ReadonlyMap<number, VersionRange>) {
    this.#broker = broker;
    this.#ranges = ranges;
  }

  /** @throws UnsupportedBrokerError that names the broker's release and both sides' versions */
  of(name: ApiName): ApiVersion {
    const ours = API[name];
    const [least, most] = this.#ranges.get(ours.key) ?? [-1, -1];
    const version = Math.min(most, ours.most);
    if (version < Math.max(least, ours.least)) {
      throw new UnsupportedBrokerError(
        `broker ${this.#broker} seems to be Kafka ${this.release} (${ours.name} in versions ${least} to ${most}; ` +
          `we speak ${ours.least} to ${ours.most}): ${ours.needs}`,
      );
    }
    const flexible = version >= ours.flexible;
    return { key: ours.key, version, requestTags: flexible, responseTags: flexible };
  }

  /** The oldest release that speaks as the broker does, e.g. `2.4`. */
  get release(): string {
    const [, produce] = this.#ranges.get(API.produce.key) ?? [0, 0];
    return RELEASE_OF_PRODUCE.find(([version]) => produce >= version)?.[1] ?? '0.9';
  }
}

/** Its response header never has tags, so that any client can read it. */
const API_VERSIONS = { key: 18, responseTags: false };

/**
 * Asks a broker which versions it speaks: ApiVersions 3, or 0 where it says that it doesn't know that (brokers
 * before Kafka 2.4; they answer in the form of version 0, KIP-511).
 */
export async function fetchApiVersions(channel: RequestSender, broker: string): Promise<NegotiatedVersions> {
  const write = new ProtocolWriter(true);
  const body = [write.string('sluice'), write.string('1'), write.noTags()];
  let bytes = await channel.request({ ...API_VERSIONS, version: 3, requestTags: true }, body);
  let flexible = true;
  if (new ProtocolReader(bytes).int16() === KafkaErrorCode.UNSUPPORTED_VERSION) {
    flexible = false;
    bytes = await channel.request({ ...API_VERSIONS, version: 0, requestTags: false }, []);
  }
  const reader = new ProtocolReader(bytes, flexible);
  const errorCode = reader.int16();
  if (errorCode !== KafkaErrorCode.NONE) {
    throw new UnsupportedBrokerError(
      `broker ${broker} does not tell which versions it speaks (error ${errorCode}): ${KAFKA_2_1}`,
    );
  }
  const ranges = new Map<number, VersionRange>();
  reader.array(() => {
    ranges.set(reader.int16(), [reader.int16(), reader.int16()]);
    reader.tags();
  });
  return new NegotiatedVersions(broker, ranges);
}
