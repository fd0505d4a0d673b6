/**
 * An MQTT topic name, interned: the ingress makes one Topic for each distinct name and hands out the same
 * object again, so that later stages cache by identity instead of hashing a string a message.
 */
export interface Topic {
  /** The topic name: valid UTF-8, no wildcards, at least one character ([MQTT-4.7.3-1]). */
  readonly name: string;
  /**
   * A small dense integer, for an array as cache. The table of topics is bounded: an id may later belong to
   * another Topic, so a cache keeps the Topic beside its value and compares it.
   */
  readonly id: number;
}
