import { SchemaRegistryError } from './errors.ts';
import type { RegisteredSchema, Schema, SchemaReference, SchemaType } from './schema.ts';

/** A schema as the body of `POST /subjects/{subject}` and `POST /subjects/{subject}/versions`. */
export function schemaRequest(schema: Schema): object {
  return {
    schema: schema.text,
    // Registries from before schema types (5.4) know Avro alone, and refuse the field.
    ...(schema.type !== 'AVRO' && { schemaType: schema.type }),
    ...(schema.references !== undefined && schema.references.length > 0 && { references: schema.references }),
  };
}

/** Reads the answer of `POST /subjects/{subject}/versions`: `{ id }`. */
export function registeredId(purpose: string, body: unknown): number {
  return field(purpose, body, 'id', isInteger);
}

/** Reads `{ schema, schemaType?, references? }`, the answer of `GET /schemas/ids/{id}`. */
export function schemaOf(purpose: string, body: unknown): Schema {
  const references = field(purpose, body, 'references', isReferences);
  return {
    type: field(purpose, body, 'schemaType', isSchemaType) ?? 'AVRO',
    text: field(purpose, body, 'schema', isString),
    ...(references != null && references.length > 0 && { references }),
  };
}

/** Reads a schema with `{ subject, id, version }`, the answer for a subject's version. */
export function registeredSchema(purpose: string, body: unknown): RegisteredSchema {
  return {
    id: field(purpose, body, 'id', isInteger),
    subject: field(purpose, body, 'subject', isString),
    version: field(purpose, body, 'version', isInteger),
    schema: schemaOf(purpose, body),
  };
}

function field<T>(purpose: string, body: unknown, name: string, is: (value: unknown) => value is T): T {
  const value = isObject(body) ? body[name] : undefined;
  if (is(value)) return value;
  throw new SchemaRegistryError(
    'SCHEMA_REGISTRY_BAD_ANSWER',
    `can't ${purpose}: the answer has no usable '${name}'; is the URL that of a schema registry?`,
  );
}

const SCHEMA_TYPES: readonly unknown[] = ['AVRO', 'PROTOBUF', 'JSON'] satisfies SchemaType[];

const isInteger = (value: unknown): value is number => Number.isInteger(value);
const isString = (value: unknown): value is string => typeof value === 'string';
// Left out, and null in some registries: Avro.
const isSchemaType = (value: unknown): value is SchemaType | undefined | null =>
  value === undefined || value === null || SCHEMA_TYPES.includes(value);
const isReferences = (value: unknown): value is readonly SchemaReference[] | undefined | null =>
  value === undefined || value === null || (Array.isArray(value) && value.every(isReference));
const isReference = (value: unknown): value is SchemaReference =>
  isObject(value) && isString(value.name) && isString(value.subject) && isInteger(value.version);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
