import type { FleetObserver } from '../../src/testbed/fleet/member.ts';

/** What one device did, by its own sequence numbers, which count from 1 without gaps. */
export interface DeviceAccount {
  readonly type: string;
  readonly topic: string;
  /** The last sequence number that was published. */
  sent: number;
  /** In the order of their acknowledgements; empty at QoS 0, which has none. */
  readonly acknowledged: number[];
  /** Connections that ended without a DISCONNECT: QoS 0 messages may have gone down with them. */
  lostConnections: number;
}

/** Remembers all that was sent and acknowledged, for whoever wants to compare it with what Kafka holds. */
export class FleetLedger implements FleetObserver {
  readonly #accounts = new Map<string, DeviceAccount>();

  /** By device id. */
  accounts(): ReadonlyMap<string, Readonly<DeviceAccount>> {
    return this.#accounts;
  }

  joined(device: string, type: string, topic: string): void {
    this.#accounts.set(device, { type, topic, sent: 0, acknowledged: [], lostConnections: 0 });
  }

  sent(device: string, sequence: number): void {
    this.#of(device).sent = sequence;
  }

  acknowledged(device: string, sequence: number): void {
    this.#of(device).acknowledged.push(sequence);
  }

  connectionLost(device: string): void {
    this.#of(device).lostConnections++;
  }

  #of(device: string): DeviceAccount {
    const account = this.#accounts.get(device);
    if (account === undefined) throw new RangeError(`the device ${device} never joined`);
    return account;
  }
}
