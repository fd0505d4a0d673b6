/** What a device says of itself: its messages are numbered from 1 without gaps. */
export interface DeviceAccount {
  /** The last number that was sent. */
  readonly sent: number;
  readonly acknowledged: Iterable<number>;
}

/** A record as it stands in Kafka. */
export interface DeliveredRecord {
  readonly deviceId: string;
  readonly sequence: number;
  readonly partition: number;
}

/** How many there are, and the first of them by name. */
export interface Tally {
  readonly count: number;
  readonly examples: readonly string[];
}

/** What Kafka holds beside what the devices know. Counts of 0 are good news. */
export interface DeliveryVerdict {
  readonly records: number;
  /** Acknowledged to the device, and not in Kafka: `device#sequence`. */
  readonly lost: Tally;
  /** In Kafka, and never sent. */
  readonly invented: Tally;
  /** Copies in Kafka beyond the first. */
  readonly repeated: Tally;
  /** First occurrences that stand behind a later message of the same device. */
  readonly disordered: Tally;
  /** Devices whose records are spread over several partitions. */
  readonly scattered: Tally;
}

const EXAMPLES = 20;

interface DeviceRecords {
  /** How often each message is there; index: sequence. */
  readonly copies: Uint16Array;
  partition: number;
  isScattered: boolean;
  /** The highest sequence so far. */
  latest: number;
}

/**
 * Compares the devices' accounts with everything that their Kafka topic holds. Records are taken in the order of
 * their offsets within each partition; partitions may come in any order. Two bytes a message.
 */
export class DeliveryJudge {
  readonly #accounts: ReadonlyMap<string, DeviceAccount>;
  readonly #examples: number;
  readonly #devices = new Map<string, DeviceRecords>();
  readonly #invented: OpenTally;
  readonly #repeated: OpenTally;
  readonly #disordered: OpenTally;
  #records = 0;

  /** @param examples how many of each kind are named */
  constructor(accounts: ReadonlyMap<string, DeviceAccount>, examples = EXAMPLES) {
    this.#accounts = accounts;
    this.#examples = examples;
    this.#invented = new OpenTally(examples);
    this.#repeated = new OpenTally(examples);
    this.#disordered = new OpenTally(examples);
  }

  take({ deviceId, sequence, partition }: DeliveredRecord): void {
    this.#records++;
    const device = this.#of(deviceId, partition);
    if (device.partition !== partition) device.isScattered = true;
    const copies = sequence >= 1 ? device.copies[sequence] : undefined;
    if (copies === undefined) {
      this.#invented.add(`${deviceId}#${sequence}`);
      return;
    }
    if (copies > 0) this.#repeated.add(`${deviceId}#${sequence}`);
    else if (sequence < device.latest) this.#disordered.add(`${deviceId}#${sequence}`);
    device.copies[sequence] = copies + 1;
    device.latest = Math.max(device.latest, sequence);
  }

  /** How often a message is in Kafka. */
  copies(deviceId: string, sequence: number): number {
    return this.#devices.get(deviceId)?.copies[sequence] ?? 0;
  }

  verdict(): DeliveryVerdict {
    const lost = new OpenTally(this.#examples);
    for (const [deviceId, { acknowledged }] of this.#accounts) {
      for (const sequence of acknowledged) {
        if (this.copies(deviceId, sequence) === 0) lost.add(`${deviceId}#${sequence}`);
      }
    }
    const scattered = new OpenTally(this.#examples);
    for (const [deviceId, { isScattered }] of this.#devices) if (isScattered) scattered.add(deviceId);
    return {
      records: this.#records,
      lost,
      invented: this.#invented,
      repeated: this.#repeated,
      disordered: this.#disordered,
      scattered,
    };
  }

  #of(deviceId: string, partition: number): DeviceRecords {
    let device = this.#devices.get(deviceId);
    if (device === undefined) {
      const sent = this.#accounts.get(deviceId)?.sent ?? 0;
      device = { copies: new Uint16Array(sent + 1), partition, isScattered: false, latest: 0 };
      this.#devices.set(deviceId, device);
    }
    return device;
  }
}

class OpenTally implements Tally {
  count = 0;
  readonly examples: string[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  add(name: string): void {
    this.count++;
    if (this.examples.length < this.#most) this.examples.push(name);
  }
}
