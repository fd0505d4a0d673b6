import { hostname } from 'node:os';
import type { SluiceConfig } from '../../config/config.ts';
import type { Clock } from '../../core/clock.ts';
import type { DeviceConnection, PresenceObserver } from '../../core/device-sessions.ts';
import type { SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { metric, type Metric } from '../../core/metric.ts';
import { emptyRecord, encodeHeaders } from '../../core/record.ts';
import type { RecordResult, RecordSink, RecordTarget } from '../../delivery/ports.ts';

export interface PresenceOptions {
  readonly topic: string;
  /** The name of this gateway in the records. */
  readonly gateway: string;
  /** Devices whose state may wait for Kafka. */
  readonly maxPending: number;
  readonly outlet: RecordSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The latest of a device. */
interface DeviceState {
  readonly connection: DeviceConnection;
  readonly event: 'connected' | 'disconnected';
  readonly reason: string | undefined;
  readonly willSent: boolean;
  readonly atMs: number;
  /** States since the last record that were overtaken while Kafka had no room. */
  readonly superseded: number;
}

/** After a failure that another try may not meet. */
const RETRY_MS = 1_000;

/**
 * Which devices are here, as records of a Kafka topic keyed by device, in order for each. While Kafka takes nothing,
 * one state waits for each device, the latest: a storm of reconnects costs no more memory than there are devices.
 */
export class PresenceRecords implements PresenceObserver, RecordTarget {
  readonly #options: PresenceOptions;
  readonly #waiting = new Map<string, DeviceState>();
  readonly #inFlight = new Map<number, DeviceState>();
  /** The token of the last record of each device that is in flight. */
  readonly #latest = new Map<string, number>();
  #token = 0;
  /** Something calls {@link #drain} when there is room again. */
  #isBlocked = false;
  #produced = 0;
  #superseded = 0;
  #lost = 0;
  /** Resolved, and replaced, with each change of what waits or is in flight. */
  #change = Promise.withResolvers<undefined>();
  readonly #record = emptyRecord();

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  connected(connection: DeviceConnection): void {
    this.#note(connection, { event: 'connected', reason: undefined, willSent: false });
  }

  disconnected(connection: DeviceConnection, reason: string, willSent: boolean): void {
    this.#note(connection, { event: 'disconnected', reason, willSent });
  }

  /** Resolves when Kafka has everything. */
  async settled(): Promise<void> {
    while (this.#waiting.size + this.#inFlight.size > 0) {
      await this.#change.promise;
    }
  }

  #note(connection: DeviceConnection, change: Pick<DeviceState, 'event' | 'reason' | 'willSent'>): void {
    const { deviceId } = connection;
    const overtaken = this.#waiting.get(deviceId);
    if (overtaken === undefined && this.#waiting.size >= this.#options.maxPending) {
      const text = 'presence of more devices than presence.max.pending waits for Kafka';
      if (this.#lost++ === 0) this.#options.logger.error({ pending: this.#waiting.size }, text);
      return;
    }
    if (overtaken !== undefined) this.#superseded++;
    this.#waiting.delete(deviceId);
    const superseded = overtaken === undefined ? 0 : overtaken.superseded + 1;
    const atMs = this.#options.clock.wallMs();
    this.#waiting.set(deviceId, { connection, ...change, atMs, superseded });
    if (!this.#isBlocked) this.#drain();
  }

  #drain(): void {
    for (const [deviceId, state] of this.#waiting) {
      const token = this.#token++;
      this.#fill(state);
      const refusal = this.#options.outlet.tryAppend(this.#record, this, token);
      if (refusal !== undefined && 'wait' in refusal) {
        this.#isBlocked = true;
        refusal.wait(this.#unblocked);
        return;
      }
      this.#waiting.delete(deviceId);
      if (refusal === undefined) {
        this.#inFlight.set(token, state);
        this.#latest.set(deviceId, token);
      } else this.#unwritable(state, refusal);
    }
  }

  readonly #unblocked = (): void => {
    this.#isBlocked = false;
    this.#drain();
    // What can't be written is not waited for.
    this.#tellSettled();
  };

  #tellSettled(): void {
    this.#change.resolve(undefined);
    this.#change = Promise.withResolvers();
  }

  recordCompleted(token: number, { error }: Pick<RecordResult, 'error'>): void {
    const state = this.#inFlight.get(token);
    if (state === undefined) return;
    const { deviceId } = state.connection;
    this.#inFlight.delete(token);
    const isLatest = this.#latest.get(deviceId) === token;
    if (isLatest) this.#latest.delete(deviceId);
    if (error === undefined) this.#produced++;
    else if (isLatest && !this.#waiting.has(deviceId)) this.#again(state);
    else this.#superseded++;
    this.#tellSettled();
  }

  #again(state: DeviceState): void {
    this.#waiting.set(state.connection.deviceId, state);
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#options.clock.schedule(this.#unblocked, RETRY_MS);
  }

  #unwritable({ connection }: DeviceState, error: SluiceError): void {
    this.#lost++;
    const fields = { client: connection.deviceId, reason: error.message };
    this.#options.logger.error(fields, 'the presence of a device can not be written to Kafka');
  }

  #fill({ connection, event, reason, willSent, atMs, superseded }: DeviceState): void {
    const { topic, gateway } = this.#options;
    const value = {
      device: connection.deviceId,
      event,
      at: new Date(atMs).toISOString(),
      ...(event === 'disconnected' ? { reason, will_sent: willSent } : {}),
      gateway,
      listener: connection.listener,
      remote: connection.remote,
      protocol_version: connection.protocolVersion,
      keepalive_seconds: connection.keepAliveSeconds,
      clean_session: connection.cleanSession,
      session_present: connection.sessionPresent,
      superseded,
    };
    const record = this.#record;
    record.topic = topic;
    record.key = Buffer.from(connection.deviceId, 'utf8');
    record.value = Buffer.from(JSON.stringify(value), 'utf8');
    record.timestampMs = atMs;
    record.headers = encodeHeaders([
      { key: 'content-type', value: Buffer.from('application/json') },
      { key: 'presence.event', value: Buffer.from(event) },
      { key: 'presence.gateway', value: Buffer.from(gateway, 'utf8') },
    ]);
  }

  metrics(): Metric[] {
    const figure = (kind: Metric['kind'], name: string, help: string, read: () => number): Metric =>
      metric(kind, `sluice_presence_${name}`, help, read);
    const superseded = 'States of devices that were overtaken by later ones while Kafka took nothing.';
    return [
      figure('counter', 'produced_total', 'Presence records that Kafka has.', () => this.#produced),
      figure('gauge', 'pending', 'Devices whose presence waits for Kafka.', () => this.#waiting.size),
      figure('counter', 'superseded_total', superseded, () => this.#superseded),
      figure('counter', 'lost_total', 'States of devices that had no room or no record.', () => this.#lost),
    ];
  }
}

/** Where the configuration wants to know which devices are here. */
export function presenceRecords(
  { presence }: SluiceConfig,
  surroundings: Pick<PresenceOptions, 'outlet' | 'clock' | 'logger'>,
): PresenceRecords | undefined {
  return presence && new PresenceRecords({ gateway: hostname(), ...presence, ...surroundings });
}
