import { errorMessage } from '../../core/errors.ts';
import { ProducerError } from '../errors.ts';

/** These say nothing about the record: any other would have met them too. */
const SCHEMA_FAULTS: readonly string[] = ['UNUSABLE_SCHEMA', 'SCHEMA_NOT_PREPARED'];

/**
 * A key or value can't be turned into bytes, or bytes not into a key or value: Java's SerializationException.
 * The codes: SERIALIZATION_FAILED, DESERIALIZATION_FAILED, UNKNOWN_MAGIC_BYTE (no Confluent wire format),
 * UNEXPECTED_SCHEMA (well-formed, but of a type that was not asked for), UNUSABLE_SCHEMA (the registry's schema is
 * none, of another kind, or can't be read by the reader's) and SCHEMA_NOT_PREPARED.
 */
export class SerializationError extends ProducerError {
  readonly topic: string;

  constructor(code: string, topic: string, message: string, options?: ErrorOptions) {
    super(code, message, { ...options, isRecordFault: !SCHEMA_FAULTS.includes(code) });
    this.topic = topic;
  }
}

/** `reason` completes "...: "; what was thrown becomes the cause. Never quotes a record's contents at length. */
export function cannotSerialize(topic: string, format: string, reason: unknown): SerializationError {
  return new SerializationError(
    'SERIALIZATION_FAILED',
    topic,
    `data for topic '${topic}' can't be serialized as ${format}: ${text(reason)}`,
    cause(reason),
  );
}

/** `reason` completes "...: "; what was thrown becomes the cause. */
export function cannotDeserialize(topic: string, format: string, reason: unknown): SerializationError {
  return new SerializationError(
    'DESERIALIZATION_FAILED',
    topic,
    `data from topic '${topic}' can't be read as ${format}: ${text(reason)}`,
    cause(reason),
  );
}

function text(reason: unknown): string {
  return typeof reason === 'string' ? reason : errorMessage(reason);
}

function cause(reason: unknown): ErrorOptions | undefined {
  return typeof reason === 'string' ? undefined : { cause: reason };
}
