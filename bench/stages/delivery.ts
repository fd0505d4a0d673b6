import { CONTRACTS, type Contract } from '../../src/core/contract.ts';
import type { Clock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import type { Publication } from '../../src/core/publication.ts';
import { NO_HEADERS } from '../../src/core/record.ts';
import type { Route } from '../../src/core/route.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import { StoreAndForward } from '../../src/delivery/disk/store-and-forward.ts';
import { Ledger, withAccount } from '../../src/delivery/ledger/ledger.ts';
import type { Journal, JournalTarget, PartitionedSink, RecordTarget } from '../../src/delivery/ports.ts';
import { messages } from './fleet.ts';
import type { Stage } from './stage.ts';

const clock: Clock = { wallMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
const types = { deadLetterTopic: () => undefined, pattern: () => undefined };
const acknowledged = {
  error: undefined,
  topic: 'telemetry',
  record: () => {
    throw new Error('nobody looks at a record that was acknowledged');
  },
};

/** A producer and a journal that take everything, and confirm it when they are told to. */
class Behind implements PartitionedSink, Journal {
  readonly buffer = { totalBytes: 1, availableBytes: 1 };
  readonly backlog = { openRecords: 0 };
  readonly #produced: RecordTarget[] = [];
  readonly #producedTokens: number[] = [];
  readonly #journaled: JournalTarget[] = [];
  readonly #journaledTokens: number[] = [];
  #position = 0;

  tryAppend(_record: object, target: RecordTarget, token: number): undefined {
    this.#produced.push(target);
    this.#producedTokens.push(token);
  }

  append(_record: object, _meta: object, target: JournalTarget, token: number): undefined {
    this.#journaled.push(target);
    this.#journaledTokens.push(token);
  }

  confirm(): void {
    for (const [i, target] of this.#journaled.entries()) {
      target.recordJournaled(this.#journaledTokens[i] as number, this.#position++);
    }
    for (const [i, target] of this.#produced.entries()) {
      target.recordCompleted(this.#producedTokens[i] as number, acknowledged, i);
    }
    for (const array of [this.#journaled, this.#journaledTokens, this.#produced, this.#producedTokens]) {
      array.length = 0;
    }
  }

  partitionOf(): number {
    return 0;
  }

  partitionCount(): number {
    return 1;
  }

  connectionState(): { connectedBrokers: number } {
    return { connectedBrokers: 1 };
  }

  unacknowledged(): [] {
    return [];
  }

  claim(): void {}

  acknowledge(): boolean {
    return true;
  }

  openReader(): ReturnType<Journal['openReader']> {
    return { position: 0, skipTo: () => {}, next: () => Promise.resolve(undefined) };
  }
}

function routeOf(contract: Contract): Route {
  return {
    profile: contract.name,
    contract,
    topic: 'telemetry',
    deadLetterTopic: 'telemetry.dlq',
    toRecord(publication, record) {
      record.topic = 'telemetry';
      record.value = publication.payload;
      record.headers = NO_HEADERS;
      return undefined;
    },
    taken() {},
    whenReady() {},
  };
}

/** From a publication to its record, and from the record's completion to the device: every other one by the disk. */
export const stage: Stage = {
  name: 'delivery',
  prepare() {
    const behind = new Behind();
    const ledger = new Ledger();
    const given = { records: behind, ledger, types, clock, logger: silentLogger };
    const ways = [CONTRACTS.kafka, CONTRACTS.journal].map((each) => [withAccount(routeOf(each), ledger)]);
    const resolve = ({ id }: { readonly id: number }) => ways[id % 2] ?? [];
    const unrouted = { policy: 'local', deadLetterTopic: 'unrouted.dlq' } as const;
    const delivery = new Delivery({ ...given, resolve, unrouted });
    const replay = { rate: Number.POSITIVE_INFINITY, share: 1 };
    const spill = { afterMs: 1_000, bufferShare: 1 };
    delivery.connectStore(new StoreAndForward({ ...given, journal: behind, replay, spill }));
    const publications = messages().map(({ topic, payload }, id): Publication => ({
      topic: { name: topic, id },
      payload,
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1 + id,
      publicationNumber: 0,
      clientId: topic,
      receivedAtMs: 0,
    }));
    let told = 0;
    const origin = {
      complete(token: number, outcome: number): void {
        told += token + outcome;
      },
      resume(): void {},
    };
    return {
      messages: publications.length,
      run() {
        told = 0;
        for (const [token, publication] of publications.entries()) {
          delivery.accept(publication, origin, token);
        }
        behind.confirm();
        return told;
      },
    };
  },
};
