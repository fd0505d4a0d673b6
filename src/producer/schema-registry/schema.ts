import type { RecordPart } from '../serializers/serializer.ts';

export type SchemaType = 'AVRO' | 'PROTOBUF' | 'JSON';

/** A schema that another one uses, by the name under which it uses it: an Avro type, a .proto import, a JSON $ref. */
export interface SchemaReference {
  readonly name: string;
  readonly subject: string;
  readonly version: number;
}

/** A schema as a registry keeps it. */
export interface Schema {
  readonly type: SchemaType;
  /** The schema's own text: Avro's JSON, a .proto file, a JSON Schema. */
  readonly text: string;
  readonly references?: readonly SchemaReference[] | undefined;
}

/** A schema with the places that the registry gave it. */
export interface RegisteredSchema {
  /** Names the schema in records; the same under every subject. */
  readonly id: number;
  readonly subject: string;
  /** 1, 2, ... within the subject. */
  readonly version: number;
  readonly schema: Schema;
}

/**
 * The subject under which a topic's schema is kept. `recordName` is the schema's full name: an Avro record's, a
 * Protobuf message's, a JSON Schema's title.
 */
export type SubjectNameStrategy = (topic: string, part: RecordPart, recordName: string | undefined) => string;

/** `<topic>-key` or `<topic>-value`: one schema, and what it evolves to, for each topic. The default. */
export const topicNameStrategy: SubjectNameStrategy = (topic, part) => `${topic}-${part}`;

/** The record's name alone: one schema for every topic that it is sent to, several to a topic. */
export const recordNameStrategy: SubjectNameStrategy = (_topic, _part, recordName) => named(recordName);

/** `<topic>-<record name>`: several schemas to a topic, each of its own in every topic. */
export const topicRecordNameStrategy: SubjectNameStrategy = (topic, _part, recordName) =>
  `${topic}-${named(recordName)}`;

function named(recordName: string | undefined): string {
  if (recordName === undefined || recordName === '') {
    throw new TypeError('a subject named after the record needs a schema with a name (JSON Schema: a title)');
  }
  return recordName;
}
