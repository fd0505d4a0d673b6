import { beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/core/logger.ts';
import { Fleet } from '../../../src/testbed/fleet/fleet.ts';
import type { SimulatedType } from '../../../src/testbed/fleet/device.ts';
import { FleetLedger } from '../../support/fleet-ledger.ts';
import type { FleetOptions } from '../../../src/testbed/fleet/fleet.ts';
import { FakeLinks } from './fake-links.ts';
import { ManualClock } from './manual-clock.ts';
import { jsonType, payloadOf, sensorProfile } from './profiles.ts';

let clock: ManualClock;
let links: FakeLinks;

beforeEach(() => {
  clock = new ManualClock();
  links = new FakeLinks();
});

function fleet(options: Partial<FleetOptions>): Fleet {
  return new Fleet({
    url: 'mqtt://127.0.0.1:1883',
    devices: 10,
    rate: 100,
    qos: 1,
    seed: 1,
    types: [jsonType()],
    clock,
    logger: silentLogger,
    openLink: links.open,
    ...options,
  });
}

/** Lets time pass in steps of a millisecond, with every message acknowledged a step after it was sent. */
function run(durationMs: number): void {
  for (let i = 0; i < durationMs; i++) {
    clock.advance(1);
    links.settleAll();
  }
}

describe('a fleet', () => {
  it('spreads its devices evenly over the device types', () => {
    const types = ['a', 'b', 'c'].map((type) => jsonType(sensorProfile({ type })));
    const ledger = new FleetLedger();
    fleet({ devices: 6, types, observer: ledger }).start();
    expect([...ledger.accounts().keys()]).toEqual([
      'a-0001',
      'b-0001',
      'c-0001',
      'a-0002',
      'b-0002',
      'c-0002',
    ]);
  });

  it('publishes at the rate asked for, in turn, without drift', () => {
    const made = fleet({ rate: 250 });
    made.start();
    links.upAll();
    run(60_000);
    expect(made.snapshot()).toMatchObject({
      phase: 'publishing',
      sent: 15_000,
      acknowledged: 15_000,
      missed: 0,
    });
    for (const link of links.all) expect(link.published).toHaveLength(1500);
    run(1000);
    expect(made.snapshot().sent).toBe(15_250);
  });

  it('publishes slow rates on time too', () => {
    const made = fleet({ rate: 0.5, devices: 1 });
    made.start();
    links.upAll();
    run(1999);
    expect(made.snapshot().sent).toBe(0);
    run(1);
    expect(made.snapshot().sent).toBe(1);
    run(18_000);
    expect(made.snapshot().sent).toBe(10);
  });

  it('ends when `count` messages are sent and acknowledged, an even share by each device', async () => {
    const made = fleet({ count: 25, rate: 1000 });
    made.start();
    links.upAll();
    run(100);
    const summary = await made.done();
    expect(summary).toMatchObject({ phase: 'ended', sent: 25, acknowledged: 25, complete: true, unsent: 0 });
    expect(links.all.map((link) => link.published.length)).toEqual([3, 3, 3, 3, 3, 2, 2, 2, 2, 2]);
    expect(links.all.every((link) => link.ended)).toBe(true);
  });

  it('numbers each device from 1 without a gap, and its ledger knows what was acknowledged', async () => {
    const ledger = new FleetLedger();
    const made = fleet({ count: 40, devices: 4, rate: 0, observer: ledger });
    made.start();
    links.upAll();
    run(100);
    await made.done();
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    for (const link of links.all) {
      expect(link.published.map(({ payload }) => payloadOf(payload).seq)).toEqual(numbers);
    }
    for (const account of ledger.accounts().values()) {
      expect(account).toMatchObject({ sent: 10, acknowledged: numbers, lostConnections: 0 });
    }
  });

  it('with rate 0 keeps every window full and no fuller', () => {
    const made = fleet({ rate: 0, window: 5 });
    made.start();
    links.upAll();
    expect(made.snapshot()).toMatchObject({ sent: 50, inFlight: 50 });
    links.all[0]!.settle(2);
    expect(links.all[0]!.unsettled).toHaveLength(5);
    expect(made.snapshot()).toMatchObject({ sent: 52, inFlight: 50, acknowledged: 2 });
  });

  it('keeps as many turns back as the backlog allows, and sends them in order when there is room', () => {
    const made = fleet({ devices: 1, rate: 100, window: 4, backlog: Infinity });
    made.start();
    links.upAll();
    clock.advance(10_000);
    expect(made.snapshot()).toMatchObject({ sent: 4, inFlight: 4, waiting: 996, missed: 0 });
    links.all[0]!.settle(2);
    expect(made.snapshot()).toMatchObject({ sent: 6, inFlight: 4, waiting: 994 });
    void made.stop();
    expect(made.snapshot()).toMatchObject({ sent: 6, waiting: 0 });
  });

  it('does not pile up turns that a full window or a lost connection keeps it from taking', () => {
    const made = fleet({ devices: 1, rate: 100, window: 4 });
    made.start();
    links.upAll();
    clock.advance(10_000);
    // 4 in flight and 4 waiting for room; the other turns are over.
    expect(made.snapshot()).toMatchObject({ sent: 4, inFlight: 4, missed: 992 });
    links.settleAll();
    links.settleAll();
    expect(made.snapshot()).toMatchObject({ sent: 8, acknowledged: 8 });
    run(1000);
    expect(made.snapshot().sent).toBe(108);
  });

  it('publishes nothing while a connection is lost, and goes on when it is back', () => {
    const ledger = new FleetLedger();
    const made = fleet({ devices: 2, rate: 10, observer: ledger });
    made.start();
    links.upAll();
    run(1000);
    links.all[0]!.listener.down();
    run(1000);
    expect(links.all.map((link) => link.published.length)).toEqual([5, 10]);
    expect(made.snapshot()).toMatchObject({ connected: 1, lostConnections: 1 });
    links.all[0]!.listener.up();
    run(1000);
    expect(links.all.map((link) => link.published.length)).toEqual([15, 15]);
    expect(ledger.accounts().get('sensor-0001')).toMatchObject({ lostConnections: 1 });
  });

  it('still sends its whole count when it lost its connections on the way', async () => {
    const made = fleet({ devices: 2, rate: 100, count: 300 });
    made.start();
    links.upAll();
    run(500);
    for (const link of links.all) link.listener.down();
    run(5000);
    expect(made.snapshot()).toMatchObject({ phase: 'publishing', sent: 50 });
    for (const link of links.all) link.listener.up();
    run(5000);
    expect(await made.done()).toMatchObject({ sent: 300, acknowledged: 300, complete: true });
  });

  it('ends after `durationMs`', async () => {
    const made = fleet({ rate: 100, durationMs: 2000 });
    made.start();
    links.upAll();
    run(2100);
    expect(await made.done()).toMatchObject({
      sent: 200,
      acknowledged: 200,
      publishingMs: 2000,
      complete: true,
    });
  });

  it('waits for missing acknowledgements, and says how many never came', async () => {
    const made = fleet({ rate: 1000, count: 20, drainTimeoutMs: 5000 });
    made.start();
    links.upAll();
    clock.advance(1000);
    expect(made.snapshot()).toMatchObject({ phase: 'draining', sent: 20, inFlight: 20 });
    links.all[0]!.settle();
    clock.advance(5000);
    expect(await made.done()).toMatchObject({ acknowledged: 2, unacknowledged: 18, complete: false });
  });

  it('stops early when it is told to, with what is in flight still acknowledged', async () => {
    const made = fleet({ rate: 100, count: 10_000 });
    made.start();
    links.upAll();
    run(995);
    clock.advance(5);
    const stopped = made.stop();
    expect(made.snapshot()).toMatchObject({ phase: 'draining', sent: 100, inFlight: 1 });
    links.settleAll();
    expect(await stopped).toMatchObject({ sent: 100, acknowledged: 100, unacknowledged: 0, unsent: 9900 });
    clock.advance(10_000);
    expect(links.published()).toBe(100);
  });

  it('does not wait for acknowledgements when it is told to stop a second time', async () => {
    const made = fleet({ rate: 0, devices: 1 });
    made.start();
    links.upAll();
    void made.stop();
    clock.advance(5000);
    expect(made.snapshot().phase).toBe('draining');
    const stopped = made.stop(0);
    clock.advance(0);
    expect(await stopped).toMatchObject({ sent: 20, unacknowledged: 20, complete: false });
  });

  it('can be stopped while nobody answers', async () => {
    const made = fleet({});
    made.start();
    links.all[0]!.listener.trouble('connect ECONNREFUSED 127.0.0.1:1883');
    expect(made.snapshot()).toMatchObject({
      phase: 'connecting',
      connected: 0,
      trouble: 'connect ECONNREFUSED 127.0.0.1:1883',
    });
    expect(await made.stop()).toMatchObject({ sent: 0, publishingMs: 0 });
  });

  it('begins without a device that does not get through, once it was patient', () => {
    const made = fleet({ devices: 2, rate: 10 });
    made.start();
    links.all[0]!.listener.up();
    run(4999);
    expect(made.snapshot().phase).toBe('connecting');
    run(1001);
    expect(made.snapshot()).toMatchObject({ phase: 'publishing', connected: 1, sent: 5 });
  });

  it('goes on without a refused device, and names the reason', async () => {
    const made = fleet({ devices: 2, count: 20, rate: 0 });
    made.start();
    links.all[0]!.listener.refused('Connection refused: Not authorized');
    links.all[1]!.listener.up();
    run(100);
    const summary = await made.done();
    expect(summary).toMatchObject({ sent: 10, refused: 1, unsent: 10, complete: false });
    expect(summary.refusals).toEqual(new Map([['Connection refused: Not authorized', 1]]));
  });

  it('ends at once when every device is refused', async () => {
    const made = fleet({ devices: 3 });
    made.start();
    for (const link of links.all) link.listener.refused('Connection refused: Not authorized');
    expect(await made.done()).toMatchObject({ refused: 3, sent: 0, complete: false });
  });

  it('opens a bounded number of connections at a time', () => {
    fleet({ devices: 500 }).start();
    expect(links.all).toHaveLength(64);
    links.all[0]!.listener.up();
    expect(links.all).toHaveLength(65);
    links.upAll();
    expect(links.all).toHaveLength(500);
  });

  it('counts no acknowledgements at QoS 0, which has none', async () => {
    const made = fleet({ qos: 0, count: 100, rate: 0 });
    made.start();
    links.upAll();
    run(100);
    expect(await made.done()).toMatchObject({
      sent: 100,
      acknowledged: 0,
      unacknowledged: 0,
      complete: true,
    });
    expect(made.snapshot().latency.p50Ms).toBeUndefined();
  });

  it('passes the turn of a silent device on, so that the rate holds', () => {
    const simulate = { ...sensorProfile().simulate!, dropout: 0.3 };
    const made = fleet({ types: [jsonType(sensorProfile({ simulate }))] });
    made.start();
    links.upAll();
    run(10_000);
    expect(made.snapshot().sent).toBe(1000);
  });

  it('measures PUBLISH to PUBACK', () => {
    const made = fleet({ devices: 1, rate: 10 });
    made.start();
    links.upAll();
    clock.advance(25);
    for (let i = 0; i < 10; i++) {
      clock.advance(75);
      clock.advance(25);
      links.settleAll();
    }
    expect(made.snapshot().latency.p50Ms).toBeCloseTo(25, 0);
  });

  it('refuses at once what could only fail later: no types, or readings that do not encode', () => {
    expect(() => fleet({ types: [] })).toThrow(expect.objectContaining({ code: 'FLEET_EMPTY' }) as Error);
    const broken = {
      profile: sensorProfile(),
      encode: () => {
        throw new Error('fleet.EnvSensor has no field temp');
      },
    };
    expect(() => fleet({ types: [broken] })).toThrow(
      "devices/sensor.yaml: the simulated readings of sensor can't be encoded: fleet.EnvSensor has no field temp",
    );
  });

  it('a device whose protocol has a session is born first, born again when it is asked, and says when it leaves', async () => {
    const said = (text: string) => ({ topic: `t/${text}`, payload: Buffer.from(text) });
    const type: SimulatedType = {
      profile: sensorProfile(),
      session: () => ({
        topic: 't/data',
        commands: 't/commands',
        will: () => said('will'),
        births: () => [said('birth'), said('birth of a part')],
        reading: () => said('data'),
        asksForBirths: (command) => Buffer.from(command).toString() === 'again',
        death: () => said('death'),
      }),
    };
    const made = fleet({ devices: 1, rate: 1_000, count: 2, types: [type] });
    made.start();
    const [link] = links.all;
    expect(link!.options.commands).toBe('t/commands');
    expect(Buffer.from(link!.options.will!().payload).toString()).toBe('will');
    links.upAll();
    link!.listener.command!(Buffer.from('hello'));
    link!.listener.command!(Buffer.from('again'));
    run(30);
    const summary = await made.done();
    expect(link!.published.map(({ payload }) => Buffer.from(payload).toString())).toEqual([
      ...['birth', 'birth of a part', 'birth', 'birth of a part', 'data', 'data', 'death'],
    ]);
    // Births and deaths are no readings.
    expect(summary).toMatchObject({ sent: 2, acknowledged: 2, unacknowledged: 0 });
  });
});
