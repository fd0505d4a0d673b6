import type { OutputSpec } from '../../core/profile/output-spec.ts';
import type { Publication } from '../../core/publication.ts';
import { encodeHeaders, type EncodedHeaders, type Header } from '../../core/record.ts';
import { TimeSource } from '../normalise/normaliser.ts';
import { templateNames, type Template } from '../profile/template.ts';

/** The headers that a record of telemetry may have. Values are UTF-8 text. */
export const RECORD_HEADERS = {
  mqttTopic: 'mqtt.topic',
  deviceType: 'device.type',
  contentType: 'content-type',
  /** `receipt` or `corrected` where the device's time could not be the record's timestamp; else absent. */
  timestamp: 'sluice.timestamp',
  /** `unknown-device`: the record is in quarantine; else absent. */
  quarantine: 'sluice.quarantine',
  /** The id of the schema in a registry that the payload was framed with; absent without a frame. */
  schemaId: 'schema.id',
  mqttQos: 'mqtt.qos',
  /** `true` or `false`. */
  mqttRetain: 'mqtt.retain',
  mqttClientId: 'mqtt.client.id',
  /** Milliseconds since 1970-01-01 UTC. */
  receivedAt: 'received.at',
} as const;

/** Attributes of CloudEvents 1.0 (Kafka Protocol Binding, section 3.2: binary content mode). */
const CE = {
  specversion: 'ce_specversion',
  id: 'ce_id',
  source: 'ce_source',
  type: 'ce_type',
  subject: 'ce_subject',
  time: 'ce_time',
} as const;

export interface CloudEventsPlan {
  /** undefined: the MQTT topic. */
  readonly source: Template | undefined;
  readonly type: Template;
}

/** What a profile's headers are made of. */
export interface HeaderPlan {
  readonly deviceType: string;
  readonly contentType: string;
  readonly headers: NonNullable<OutputSpec['headers']>;
  /** By header name. */
  readonly levelHeaders: ReadonlyMap<string, Template>;
  readonly cloudEvents: CloudEventsPlan | undefined;
  /** An id for each event, unique for ever. */
  readonly nextEventId: () => string;
}

/**
 * The headers of one topic's records. What varies from message to message in few ways is encoded once for each
 * of them; only client ids, times and event ids are written anew.
 */
export class RecordHeaders {
  readonly #plan: HeaderPlan;
  readonly #constant: readonly Header[];
  readonly #varies: boolean;
  readonly #framed = new Map<number, EncodedHeaders>();
  readonly #plain: (EncodedHeaders | undefined)[] = [];

  constructor(plan: HeaderPlan, topicName: string, captures: ReadonlyMap<string, string>) {
    const { headers, cloudEvents } = plan;
    this.#plan = plan;
    const named = templateNames(captures, plan.deviceType);
    this.#constant = [
      ...(headers.includes('topic') ? [header(RECORD_HEADERS.mqttTopic, topicName)] : []),
      header(RECORD_HEADERS.deviceType, plan.deviceType),
      header(RECORD_HEADERS.contentType, plan.contentType),
      ...[...plan.levelHeaders].map(([name, template]) => header(name, template.fill(named))),
      ...(cloudEvents === undefined
        ? []
        : [
            header(CE.specversion, '1.0'),
            header(CE.source, cloudEvents.source?.fill(named) ?? topicAsPath(topicName)),
            header(CE.type, cloudEvents.type.fill(named)),
          ]),
    ];
    this.#varies = headers.some((name) => name !== 'topic') || cloudEvents !== undefined;
  }

  /**
   * A message's headers in wire form.
   * @param schemaId what the payload was framed with; undefined: it was not
   */
  encode(
    publication: Publication,
    deviceId: string,
    timestampMs: number,
    timeSource: TimeSource,
    quarantined: boolean,
    schemaId: number | undefined,
  ): EncodedHeaders {
    const variant = timeSource + (quarantined ? 3 : 0);
    if (this.#varies) {
      const variable = this.#variable(publication, deviceId, timestampMs);
      return encodeHeaders([...this.#constant, ...marks(timeSource, quarantined, schemaId), ...variable]);
    }
    if (schemaId === undefined) {
      return (this.#plain[variant] ??= encodeHeaders([
        ...this.#constant,
        ...marks(timeSource, quarantined, undefined),
      ]));
    }
    const key = schemaId * 8 + variant;
    let encoded = this.#framed.get(key);
    if (encoded === undefined) {
      // The devices of a topic frame with one schema, or with a few.
      if (this.#framed.size >= MAX_SCHEMAS) this.#framed.clear();
      encoded = encodeHeaders([...this.#constant, ...marks(timeSource, quarantined, schemaId)]);
      this.#framed.set(key, encoded);
    }
    return encoded;
  }

  #variable(publication: Publication, deviceId: string, timestampMs: number): Header[] {
    const { headers, cloudEvents, nextEventId } = this.#plan;
    const variable: Header[] = [];
    for (const name of headers) {
      if (name === 'qos') variable.push(header(RECORD_HEADERS.mqttQos, String(publication.qos)));
      else if (name === 'retain')
        variable.push(header(RECORD_HEADERS.mqttRetain, String(publication.retain)));
      else if (name === 'client.id') {
        variable.push(header(RECORD_HEADERS.mqttClientId, publication.clientId));
      } else if (name === 'received.at') {
        variable.push(header(RECORD_HEADERS.receivedAt, String(publication.receivedAtMs)));
      }
    }
    if (cloudEvents !== undefined) {
      variable.push(
        header(CE.id, nextEventId()),
        header(CE.subject, deviceId),
        header(CE.time, new Date(timestampMs).toISOString()),
      );
    }
    return variable;
  }
}

/** What the gateway has to say about a record. */
function marks(timeSource: TimeSource, quarantined: boolean, schemaId: number | undefined): Header[] {
  const found: Header[] = [];
  if (timeSource === TimeSource.Receipt) found.push(header(RECORD_HEADERS.timestamp, 'receipt'));
  if (timeSource === TimeSource.Corrected) found.push(header(RECORD_HEADERS.timestamp, 'corrected'));
  if (quarantined) found.push(header(RECORD_HEADERS.quarantine, 'unknown-device'));
  if (schemaId !== undefined) found.push(header(RECORD_HEADERS.schemaId, String(schemaId)));
  return found;
}

const MAX_SCHEMAS = 64;

function header(key: string, value: string): Header {
  return { key, value: Buffer.from(value, 'utf8') };
}

/** A topic as a URI reference with an absolute path (RFC 3986, section 4.2). */
function topicAsPath(topicName: string): string {
  const path = topicName.split('/').map(encodeURIComponent).join('/');
  // A path must not begin with `//`: that would be an authority.
  return topicName.startsWith('/') ? `/.${path}` : `/${path}`;
}
