import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import { CONTRACTS, type ContractName } from '../../src/core/contract.ts';
import type { Route } from '../../src/core/route.ts';
import { StoreAndForward } from '../../src/delivery/disk/store-and-forward.ts';
import { Ingress } from '../../src/mqtt/ingress.ts';
import { newDelivery, unknownTypes } from '../delivery/delivery-rig.ts';
import { GatedSink } from '../delivery/store-rig.ts';
import { MemoryFs } from '../durable-log/memory-fs.ts';
import { openRig, type Rig } from '../journal/rig.ts';
import { RawClient } from '../mqtt/harness.ts';
import { MemoryDirectory } from '../durable-log/memory-directory.ts';
import { until } from '../support/until.ts';

/** What survives a gateway. */
export interface Disks {
  readonly journal: MemoryFs;
  readonly sessions: MemoryDirectory;
}

export interface LifeOptions {
  /** One for each record that a publication becomes. */
  readonly contracts?: readonly ContractName[];
  readonly kafka?: GatedSink;
  readonly segmentBytes?: number;
}

const TOPIC = 't';

/** A Kafka that is away. */
export function noKafka(): GatedSink {
  const kafka = new GatedSink();
  kafka.connectedBrokers = 0;
  kafka.shut.add(TOPIC);
  return kafka;
}

/** Everything between a device and Kafka, joined as the gateway joins it, on disks that can be looked at and cut off. */
export class Life {
  readonly kafka: GatedSink;
  readonly disks: Disks;
  readonly #rig: Rig;
  readonly #store: StoreAndForward;
  readonly ingress: Ingress;
  #ended = false;

  static async begin(
    { journal, sessions }: Disks = { journal: new MemoryFs(), sessions: new MemoryDirectory() },
    { contracts = ['journal'], kafka = noKafka(), segmentBytes = 1 << 20 }: LifeOptions = {},
  ): Promise<Life> {
    const routes = contracts.map(routeWith);
    const delivery = newDelivery({ resolve: () => routes, records: kafka });
    const ingress = new Ingress({
      listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
      sessions,
      sink: delivery,
      clock: systemClock,
      logger: silentLogger,
    });
    const rig = await openRig(
      journal,
      { segmentBytes, maxBytes: 64 << 20 },
      { publications: () => ingress.publicationMemory },
    );
    const store = new StoreAndForward({
      journal: rig.journal,
      records: kafka,
      ledger: delivery.ledger,
      types: unknownTypes,
      replay: { rate: Number.POSITIVE_INFINITY, share: 1 },
      spill: { afterMs: 3_600_000, bufferShare: 0 },
      clock: systemClock,
      logger: silentLogger,
    });
    delivery.connectStore(store);
    store.start();
    const { publications, mark } = rig.journal.recalled;
    await ingress.start({ publications, nextPublicationNumber: mark.nextOrdinal });
    const life = new Life(kafka, { journal, sessions }, rig, store, ingress);
    onTestFinished(() => life.end());
    return life;
  }

  private constructor(kafka: GatedSink, disks: Disks, rig: Rig, store: StoreAndForward, ingress: Ingress) {
    this.kafka = kafka;
    this.disks = disks;
    this.#rig = rig;
    this.#store = store;
    this.ingress = ingress;
  }

  get journal(): Rig['journal'] {
    return this.#rig.journal;
  }

  device(clean = false, clientId = 'pump'): Promise<RawClient> {
    return RawClient.connect(this.ingress.addresses()[0]!.port, { clientId, clean });
  }

  /** The journal's disk answers nothing more until then. */
  holdJournal(gate: Promise<void>): void {
    this.#rig.disk.gate = gate;
  }

  /** kill -9: the journal's files as they are; of the sessions' what was synced, and `share` of the rest. */
  async crash(share = 0, whenCut = (): void => {}): Promise<Disks> {
    const left = { journal: this.disks.journal.clone(), sessions: this.disks.sessions.afterCrash(share) };
    whenCut();
    await this.end();
    return left;
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.disks.sessions.goOn();
    this.#store.stop();
    await this.ingress.close();
    await this.journal.close();
  }

  async journaled(records: number): Promise<void> {
    await until(() => this.journal.stats.journaledRecords >= records, {
      everyMs: 1,
      what: `${records} records on the disk`,
    });
  }

  /** Kafka is there, and takes all there is; what it has then. */
  async drained(): Promise<string[]> {
    this.kafka.connectedBrokers = 1;
    this.kafka.open(TOPIC);
    await until(
      () => {
        this.kafka.acknowledge();
        return this.journal.backlog.openRecords + this.journal.backlog.pendingRecords === 0;
      },
      { everyMs: 1, what: 'an empty journal' },
    );
    return [...this.kafka.log.values()].flat();
  }
}

function routeWith(contract: ContractName, index: number): Route {
  const prefix = index === 0 ? '' : `${index}:`;
  return {
    profile: 'meter',
    contract: CONTRACTS[contract],
    topic: TOPIC,
    deadLetterTopic: `${TOPIC}.dlq`,
    toRecord(message, record) {
      record.topic = TOPIC;
      record.key = Buffer.from('pump-0');
      record.value = Buffer.from(prefix + message.payload.toString());
      record.timestampMs = message.receivedAtMs;
      record.headers = NO_HEADERS;
      return undefined;
    },
    taken() {},
    whenReady() {},
  };
}
