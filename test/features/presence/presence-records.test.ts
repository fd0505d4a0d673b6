import { describe, expect, it } from 'vitest';
import type { DeviceConnection } from '../../../src/core/device-sessions.ts';
import type { SerializedRecord } from '../../../src/core/record.ts';
import { SluiceError } from '../../../src/core/errors.ts';
import type { RecordSink, RecordTarget } from '../../../src/delivery/ports.ts';
import { PresenceRecords } from '../../../src/features/presence/presence-records.ts';
import { RecordingLogger, TestClock } from '../../mqtt/harness.ts';

/** A producer under a test's control. */
class Outlet implements RecordSink {
  readonly records: {
    key: string;
    value: Record<string, unknown>;
    complete: (error?: SluiceError) => void;
  }[] = [];
  room = Number.POSITIVE_INFINITY;
  refusal: SluiceError | undefined;
  #waiting: (() => void)[] = [];

  tryAppend(
    record: SerializedRecord,
    target: RecordTarget,
    token: number,
  ): ReturnType<RecordSink['tryAppend']> {
    if (this.room <= 0) return { wait: (callback) => this.#waiting.push(callback) };
    if (this.refusal !== undefined) return this.refusal;
    this.room--;
    this.records.push({
      key: Buffer.from(record.key!).toString(),
      value: JSON.parse(Buffer.from(record.value!).toString()) as Record<string, unknown>,
      complete: (error) => {
        const unread = (): never => expect.unreachable('the record is not asked for');
        target.recordCompleted(token, { error, topic: record.topic, record: unread }, 0);
      },
    });
    return undefined;
  }

  makeRoom(): void {
    this.room = Number.POSITIVE_INFINITY;
    for (const callback of this.#waiting.splice(0)) callback();
  }

  get events(): string[] {
    return this.records.map(({ key, value }) => `${key} ${String(value.event)} +${String(value.superseded)}`);
  }
}

const device = (deviceId: string): DeviceConnection => ({
  deviceId,
  listener: 'tcp 127.0.0.1:1883',
  remote: '192.0.2.7:49152',
  protocolVersion: '3.1.1',
  keepAliveSeconds: 60,
  cleanSession: false,
  sessionPresent: true,
});

function start(maxPending = 10) {
  const outlet = new Outlet();
  const clock = new TestClock();
  const logger = new RecordingLogger();
  const presence = new PresenceRecords({
    topic: 'presence',
    gateway: 'edge-1',
    maxPending,
    outlet,
    clock,
    logger,
  });
  const metric = (name: string): number =>
    presence
      .metrics()
      .find((one) => one.name === `sluice_presence_${name}`)!
      .read() as number;
  return { outlet, clock, logger, presence, metric };
}

describe('presence', () => {
  it('says who, what, when, where and why', () => {
    const { outlet, presence, clock } = start();
    presence.connected(device('pump'));
    presence.disconnected(device('pump'), 'keepalive-timeout', true);
    const common = {
      device: 'pump',
      at: new Date(clock.wallMs()).toISOString(),
      gateway: 'edge-1',
      listener: 'tcp 127.0.0.1:1883',
      remote: '192.0.2.7:49152',
      protocol_version: '3.1.1',
      keepalive_seconds: 60,
      clean_session: false,
      session_present: true,
      superseded: 0,
    };
    expect(outlet.records.map(({ key, value }) => [key, value])).toEqual([
      ['pump', { ...common, event: 'connected' }],
      ['pump', { ...common, event: 'disconnected', reason: 'keepalive-timeout', will_sent: true }],
    ]);
  });

  it('keeps the latest state of each device while Kafka takes nothing, and says how many were overtaken', () => {
    const { outlet, presence, metric } = start();
    outlet.room = 0;
    for (let round = 0; round < 3; round++) {
      for (const id of ['a', 'b']) {
        presence.disconnected(device(id), 'connection-lost', false);
        presence.connected(device(id));
      }
    }
    presence.disconnected(device('b'), 'disconnected', false);
    expect(metric('pending')).toBe(2);
    outlet.makeRoom();
    expect(outlet.events).toEqual(['a connected +5', 'b disconnected +6']);
    expect([metric('pending'), metric('superseded_total')]).toEqual([0, 11]);
  });

  it('counts what is beyond its bound, and logs it once', () => {
    const { outlet, presence, metric, logger } = start(2);
    outlet.room = 0;
    for (const id of ['a', 'b', 'c', 'd']) presence.connected(device(id));
    expect([metric('pending'), metric('lost_total')]).toEqual([2, 2]);
    expect(logger.lines).toHaveLength(1);
  });

  it('tries again what failed, unless a later state of the device is on its way', async () => {
    const { outlet, presence, clock, metric } = start();
    const failure = new SluiceError('TOPIC_AUTHORIZATION_FAILED', 'no');
    presence.connected(device('a'));
    presence.connected(device('b'));
    presence.disconnected(device('b'), 'disconnected', false);
    const settled = presence.settled();
    const [a, b1, b2] = outlet.records;
    for (const record of [a!, b1!]) record.complete(failure);
    b2!.complete();
    clock.advance(1_000);
    expect(outlet.events).toEqual([
      'a connected +0',
      'b connected +0',
      'b disconnected +0',
      'a connected +0',
    ]);
    outlet.records[3]!.complete();
    await settled;
    expect([metric('produced_total'), metric('superseded_total')]).toEqual([2, 1]);
  });

  it('does not wait for what can never be written', async () => {
    const { outlet, presence, metric } = start();
    outlet.room = 0;
    presence.connected(device('a'));
    const settled = presence.settled();
    outlet.refusal = new SluiceError('RECORD_TOO_LARGE', 'no');
    outlet.makeRoom();
    await settled;
    expect([metric('pending'), metric('lost_total')]).toEqual([0, 1]);
  });
});
