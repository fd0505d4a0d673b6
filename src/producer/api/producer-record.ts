import type { Header, ProducerRecord as Fields } from '../../core/record.ts';

/**
 * A record for `send()`, made as in Java: `new ProducerRecord('orders', 'key', value)`. A plain object with the
 * same fields is as good.
 */
export class ProducerRecord<K, V> implements Fields<K, V> {
  readonly topic: string;
  readonly key: K | null;
  readonly value: V | null;
  declare readonly partition?: number;
  declare readonly timestamp?: number;
  declare readonly headers?: readonly Header[];

  /**
   * @param key decides the partition; null leaves it to the producer
   * @param value null is a tombstone: a compacted topic forgets the key
   */
  constructor(
    topic: string,
    key: K | null,
    value: V | null,
    more: Pick<Fields<K, V>, 'partition' | 'timestamp' | 'headers'> = {},
  ) {
    this.topic = topic;
    this.key = key;
    this.value = value;
    Object.assign(this, more);
  }
}
