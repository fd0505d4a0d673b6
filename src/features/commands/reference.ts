/** Where a command came from, and whose it is. */
export interface CommandPlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly device: string;
}

/** The place as the text that a session stores with the command. */
export function referenceOf({ topic, partition, offset, device }: CommandPlace): string {
  return `${topic} ${partition} ${offset} ${device}`;
}

/** The place again; undefined for a text that is none. */
export function placeOf(reference: string): CommandPlace | undefined {
  // A topic has no spaces; a device's id may.
  const [, topic, partition, offset, device] = /^(\S+) (\d+) (\d+) (.+)$/s.exec(reference) ?? [];
  if (topic === undefined || offset === undefined || device === undefined) return undefined;
  return { topic, partition: Number(partition), offset: BigInt(offset), device };
}
