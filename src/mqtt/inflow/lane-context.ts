import type { Logger } from '../../core/logger.ts';
import type { Publication, PublicationSink } from '../../core/publication.ts';
import type { IngressLimits } from '../limits.ts';
import type { LocalBroker } from '../broker/local-broker.ts';
import type { PublicationLane } from './publication-lane.ts';
import type { ReadAhead } from '../connection/read-ahead.ts';
import type { IngressStats } from '../stats.ts';
import type { TopicTable } from './topic-table.ts';

/** What all lanes of an ingress share. */
export interface LaneContext {
  readonly sink: PublicationSink;
  readonly topics: TopicTable;
  readonly broker: LocalBroker;
  readonly limits: IngressLimits;
  readonly stats: IngressStats;
  readonly memory: ReadAhead;
  readonly logger: Logger;
  /** The one instance that is lent to the sink. */
  readonly publication: { -readonly [Field in keyof Publication]: Publication[Field] };
  /** The sink is in the middle of accept(), and has {@link publication}. */
  accepting: boolean;
  /** Wall clock of the read that is being worked on. */
  receivedAtMs: number;
  wallMs(): number;
  /** Whether publications are taken: false from the moment on in which the gateway stops. */
  readonly taking: boolean;
  /** Has {@link PublicationLane.turn} called for the lane, once, in the next turn of the event loop. */
  schedule(lane: PublicationLane): void;
  /** Nothing is left in a lane whose connection has ended. `before`: an earlier one that has something left. */
  finished(lane: PublicationLane, before: PublicationLane | undefined): void;
}

/** The connection that a lane belongs to, while it is open. */
export interface LaneOwner {
  /** Acknowledgements may be ready: {@link PublicationLane.acks}. */
  writeAcks(): void;
  /** The device must not be acknowledged: the connection is closed. */
  refused(): void;
  /** A fault of ours. */
  failed(error: unknown): void;
  /** A publication went to a topic that clients can't write. */
  reservedTopic(topic: string): void;
  /** There may be room again: see whether the socket can be read. */
  unblocked(): void;
}
