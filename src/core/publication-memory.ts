/** A QoS 2 publication whose record a journal has; see {@link Publication.ordinal}. */
export interface RecalledPublication {
  readonly clientId: string;
  readonly packetId: number;
  readonly ordinal: number;
}

/** What a journal hands over after a start. */
export interface RecalledPublications {
  /** Those that their sessions may not know of. */
  readonly publications: readonly RecalledPublication[];
  /** Higher than the ordinal of every publication that it has, or ever had. */
  readonly nextOrdinal: number;
}

/** Who has to know of publications after a crash: the sessions. */
export interface PublicationMemory {
  /** The next publication's. */
  readonly nextOrdinal: number;
  /** Calls back once it will know after a crash of every publication whose contract was said to be fulfilled by now. */
  whenKept(callback: () => void): void;
}
