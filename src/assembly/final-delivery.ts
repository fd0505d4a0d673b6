import { within, type Clock } from '../core/clock.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import type { Ingress } from '../mqtt/ingress.ts';
import type { Producer } from '../producer/producer.ts';
import type { JournalStore } from './journal-store.ts';

export interface LastStages {
  readonly producer: Pick<Producer, 'flush' | 'connectionState'>;
  readonly store: Pick<JournalStore, 'settle' | 'copyWhatWaits'> | undefined;
  readonly ledger: Ledger;
  readonly ingress: Pick<Ingress, 'drained'>;
}

/**
 * At the stop: has disk and Kafka confirm all messages that were read, and tells the devices. Gives up when the
 * time is up. Records on the disk need not wait for brokers that are away. Records in memory alone go to the disk
 * where their contract allows it: at once without a broker, or after half of the time if Kafka does not answer.
 */
export async function deliverLast(stages: LastStages, clock: Clock, timeoutMs: number): Promise<void> {
  await within(clock, timeoutMs, confirm(stages, clock, timeoutMs));
}

async function confirm(stages: LastStages, clock: Clock, timeoutMs: number): Promise<void> {
  const { producer, store, ledger, ingress } = stages;
  const isConnected = (): boolean => producer.connectionState().connectedBrokers > 0;
  const isOpen = (): boolean => ledger.total().open > 0;
  if (store !== undefined) {
    await store.settle();
    if (isConnected()) await within(clock, timeoutMs / 2, producer.flush());
    if (isOpen()) await store.copyWhatWaits();
  }
  if (isConnected() || isOpen()) await producer.flush();
  await ingress.drained();
}
