import { writeFileSync } from 'node:fs';

/** What a contestant of `bench/producer.ts` is told, as JSON in its first argument. */
export interface Assignment {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly warmupMs: number;
  readonly measuredMs: number;
  readonly valueBytes: number;
  readonly lingerMs: number;
  readonly batchBytes: number;
  /** The file that {@link writePool} made. */
  readonly pool: string;
}

/** What a contestant prints as the last line of its output, of its measured records alone. */
export interface Figures {
  /** Of the warm-up, and measured. */
  readonly warmedUp: number;
  readonly records: number;
  readonly elapsedMs: number;
  /** User and system time of the process, of all of its threads. */
  readonly cpuMicros: number;
  readonly errors: number;
}

export const KEYS = 1_000;
/** Values are slices of so much text, each with a number of its own in front. */
export const POOL_BYTES = 1 << 20;

const NAMES = ['temperature', 'humidity', 'voltage', 'current', 'pressure', 'rpm', 'flow', 'battery'];

/** Text as devices send it: names that come again, numbers that don't. The same at every call. */
export function writePool(file: string): void {
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
  let text = '';
  while (text.length < POOL_BYTES) {
    text += `"${NAMES[random(NAMES.length)] ?? ''}":${random(1_000)}.${random(10_000)},`;
  }
  writeFileSync(file, text.slice(0, POOL_BYTES));
}

/** Makes keys and values: no two values are alike, each is a buffer of its own. */
export class RecordSource {
  readonly #pool: Buffer;
  readonly #valueBytes: number;
  readonly #keys = Array.from({ length: KEYS }, (_, i) => Buffer.from(`device-${i}`));

  constructor(pool: Buffer, valueBytes: number) {
    this.#pool = pool;
    this.#valueBytes = valueBytes;
  }

  key(index: number): Buffer {
    return this.#keys[index % KEYS] as Buffer;
  }

  value(index: number): Buffer {
    const value = Buffer.allocUnsafe(this.#valueBytes);
    // 7919 is a prime: slices come again only after all others.
    const start = (index * 7_919) % (POOL_BYTES - this.#valueBytes);
    this.#pool.copy(value, 0, start, start + this.#valueBytes);
    value.writeDoubleBE(index, 0);
    return value;
  }
}
