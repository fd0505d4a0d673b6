import type { FleetObserver } from '../../src/testbed/fleet/member.ts';
import { FleetLedger, type DeviceAccount } from './fleet-ledger.ts';

/** What a device did, and what it said. */
export interface WatchedAccount extends Readonly<DeviceAccount> {
  /** Message n stands at index n - 1. */
  readonly payloads: readonly Uint8Array[];
}

/** Remembers what was sent and acknowledged, payloads included, so that what Kafka holds can be compared by value. */
export class WatchedLedger implements FleetObserver {
  readonly #ledger = new FleetLedger();
  readonly #payloads = new Map<string, Uint8Array[]>();

  /** By device id. */
  accounts(): ReadonlyMap<string, WatchedAccount> {
    return new Map(
      [...this.#ledger.accounts()].map(([device, account]) => [
        device,
        { ...account, payloads: this.#payloads.get(device) ?? [] },
      ]),
    );
  }

  joined(device: string, type: string, topic: string): void {
    this.#ledger.joined(device, type, topic);
    this.#payloads.set(device, []);
  }

  sent(device: string, sequence: number, payload: Uint8Array): void {
    this.#ledger.sent(device, sequence);
    this.#payloads.get(device)![sequence - 1] = payload;
  }

  acknowledged(device: string, sequence: number): void {
    this.#ledger.acknowledged(device, sequence);
  }

  connectionLost(device: string): void {
    this.#ledger.connectionLost(device);
  }
}
