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

/** Watches a fleet from the outside. The calls come on the publish path: keep them short. */
export interface FleetObserver {
  /** A device joined, before anything else is said of it. */
  joined?(device: string, type: string, topic: string): void;
  /** Message `sequence` of `device` was handed to the connection; its payload is not written to any more. */
  sent?(device: string, sequence: number, payload: Uint8Array): void;
  /** Message `sequence` of `device` had its PUBACK (QoS 1) or PUBCOMP (QoS 2); once for each message. */
  acknowledged?(device: string, sequence: number): void;
  /** The connection of `device` ended without a DISCONNECT. */
  connectionLost?(device: string): void;
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
