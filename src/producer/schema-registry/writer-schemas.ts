import type { SchemaRegistry } from './schema-registry.ts';
import { notPrepared, orUnusable, type BoundSchema } from './topic-schemas.ts';
import { peekSchemaId } from './wire-format.ts';

/** What a deserializer needs from a registry, kept for each schema id: `D` is made once from the writer's schema. */
export class WriterSchemas<D> {
  readonly #registry: SchemaRegistry;
  readonly #bind: (bound: BoundSchema) => D;
  readonly #decoders = new Map<number, D>();
  readonly #pending = new Map<number, Promise<void>>();

  constructor(registry: SchemaRegistry, bind: (bound: BoundSchema) => D) {
    this.#registry = registry;
    this.#bind = bind;
  }

  /** undefined once {@link decoder} has an answer for the data's schema, and for data that names none. */
  prepare(topic: string, data: Uint8Array | null): Promise<void> | undefined {
    const id = data === null ? undefined : peekSchemaId(data);
    if (id === undefined || this.#decoders.has(id)) return undefined;
    let pending = this.#pending.get(id);
    if (pending === undefined) {
      pending = this.#fetch(topic, id).finally(() => this.#pending.delete(id));
      this.#pending.set(id, pending);
    }
    return pending;
  }

  /** @throws SerializationError SCHEMA_NOT_PREPARED if {@link prepare} is still to be awaited */
  decoder(topic: string, id: number): D {
    const decoder = this.#decoders.get(id);
    if (decoder === undefined) throw notPrepared(topic);
    return decoder;
  }

  async #fetch(topic: string, id: number): Promise<void> {
    const schema = await this.#registry.byId(id);
    const references = await this.#registry.references(schema);
    const decoder = orUnusable(topic, `the schema with id ${id}`, () =>
      this.#bind({ id, schema, references }),
    );
    this.#decoders.set(id, decoder);
  }
}
