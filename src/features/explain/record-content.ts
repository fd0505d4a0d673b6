import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { EnvelopeReader } from '../../decode/envelope/envelope-reader.ts';
import { RECORD_HEADERS } from '../../decode/envelope/record-headers.ts';
import type { Telemetry } from '../../decode/envelope/telemetry.ts';
import type { RehearsedRecord } from './rehearsal.ts';

/** Of Confluent's frame: 0, the schema's id, and for protobuf the index of its first message. */
const FRAME_BYTES = { protobuf: 6, json: 5, avro: 5 } as const;

/** What a consumer reads in a record's value; undefined: it is no envelope. */
export function telemetryOf(
  { headers, value }: RehearsedRecord,
  { produce }: DeviceProfile,
  reader: EnvelopeReader,
): Telemetry | undefined {
  const contentType = headers.find(([name]) => name === RECORD_HEADERS.contentType)?.[1];
  if (contentType === undefined || value === null || produce.value === 'raw') return undefined;
  const framed = produce.subject !== undefined;
  return reader.read(contentType, framed ? value.subarray(FRAME_BYTES[produce.format ?? 'protobuf']) : value);
}
