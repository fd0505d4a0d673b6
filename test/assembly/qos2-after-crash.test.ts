import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { publish, type RawClient, range, subscribe } from '../mqtt/harness.ts';
import { until } from '../support/until.ts';
import { type Disks, Life, type LifeOptions } from './crash-rig.ts';
import { GatedSink } from '../delivery/store-rig.ts';

const pubrel = (messageId: number) => ({ cmd: 'pubrel' as const, messageId });
const first = publish(7, 'a', 'first', { qos: 2 });
const again = publish(7, 'a', 'first', { qos: 2, dup: true });
const next = publish(7, 'a', 'next', { qos: 2 });

/** A gateway without Kafka, and a device whose session is on its disk. */
async function startedLife(options?: LifeOptions): Promise<{ life: Life; device: RawClient }> {
  const life = await Life.begin(undefined, options);
  const device = await life.device();
  device.send(subscribe(1, ['to/pump', 1]));
  await device.receives('suback');
  return { life, device };
}

/** The device finishes what it knows to be unfinished, and uses the identifier for the next publication. */
async function finish(
  disks: Disks,
  resend: typeof again | undefined,
  options?: LifeOptions,
): Promise<string[]> {
  const life = await Life.begin(disks, options);
  const device = await life.device();
  expect(device.of('connack')).toMatchObject([{ sessionPresent: true }]);
  let completed = 0;
  if (resend !== undefined) {
    device.send(resend);
    if (resend.cmd === 'publish') {
      await device.receives('pubrec');
      device.send(pubrel(7));
    }
    await device.receives('pubcomp', ++completed);
  }
  device.send(next);
  await device.receives('pubrec', resend?.cmd === 'publish' ? 2 : 1);
  device.send(pubrel(7));
  await device.receives('pubcomp', completed + 1);
  const values = await life.drained();
  await life.end();
  return values;
}

describe('a QoS 2 publication with contract `journal`, and a crash of the gateway', () => {
  it('before it was on the disk: the device sends it again, and it is produced once', async () => {
    const { life, device } = await startedLife();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    life.holdJournal(promise);
    device.send(first);
    await until(() => life.journal.backlog.pendingRecords === 1, { everyMs: 1, what: 'the record' });
    const left = await life.crash(0, () => {
      resolve(undefined);
    });
    expect(await finish(left, again)).toEqual(['first', 'next']);
  });

  it('when it was on the disk, and its session knew nothing yet: produced once', async () => {
    const { life, device } = await startedLife();
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(1);
    expect(device.ids('pubrec')).toEqual([]);
    expect(await finish(await life.crash(), again)).toEqual(['first', 'next']);
  });

  it('when its PUBREC had left: produced once', async () => {
    const { life, device } = await startedLife();
    device.send(first);
    await device.receives('pubrec');
    expect(await finish(await life.crash(), again)).toEqual(['first', 'next']);
  });

  it('when its PUBREL had come, and that was not on the disk: the device sends it again', async () => {
    const { life, device } = await startedLife();
    device.send(first);
    await device.receives('pubrec');
    life.disks.sessions.hang();
    device.send(pubrel(7));
    await device.settles();
    expect(await finish(await life.crash(), pubrel(7) as never)).toEqual(['first', 'next']);
  });

  it('when its PUBCOMP had left: the identifier names another publication, which is not taken for a repeat', async () => {
    const { life, device } = await startedLife();
    device.send(first);
    await device.receives('pubrec');
    device.send(pubrel(7));
    await device.receives('pubcomp');
    expect(await finish(await life.crash(), undefined)).toEqual(['first', 'next']);
  });

  it('and another one at once after the start: still produced once', async () => {
    const { life, device } = await startedLife();
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(1);
    const second = await Life.begin(await life.crash());
    expect(await finish(await second.crash(), again)).toEqual(['first', 'next']);
  });

  it('is produced once also where Kafka had it, and the journal was done with it, before its session knew', async () => {
    const { life, device } = await startedLife({ kafka: new GatedSink(), segmentBytes: 64 << 10 });
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(1);
    // The segment of the first is closed and, but for it, of no more use.
    const other = await life.device(true, 'other');
    other.send(...range(48).map((id) => publish(id, 'b', 'x'.repeat(4 << 10))));
    await life.journaled(49);
    await until(
      () => {
        life.kafka.acknowledge();
        return life.journal.backlog.openRecords === 0;
      },
      { everyMs: 1, what: 'Kafka to have everything' },
    );
    await life.journal.checkpoint();
    expect([...life.kafka.log.values()].flat().filter((value) => value === 'first')).toEqual(['first']);
    const values = await finish(await life.crash(), again);
    expect(values.filter((value) => value.length < 10)).toEqual(['next']);
  });

  it('is produced once with contract `kafka-or-journal` where the disk has it', async () => {
    const options = { contracts: ['kafka-or-journal'] } as const;
    const { life, device } = await startedLife(options);
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(1);
    expect(await finish(await life.crash(), again, options)).toEqual(['first', 'next']);
  });

  it('that becomes several records is produced once if all of them were on the disk', async () => {
    const options = { contracts: ['journal', 'journal'] } as const;
    const { life, device } = await startedLife(options);
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(2);
    const values = await finish(await life.crash(), again, options);
    expect(values).toEqual(['first', '1:first', 'next', '1:next']);
  });

  it('of which Kafka has to take a part is produced again: nothing of it may be missing', async () => {
    const options = { contracts: ['journal', 'kafka'] } as const;
    const { life, device } = await startedLife({ ...options, kafka: new GatedSink() });
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(1);
    const kafka = new GatedSink();
    const left = await life.crash();
    const second = await Life.begin(left, { ...options, kafka });
    const back = await second.device();
    back.send(again);
    await until(() => kafka.acknowledge() >= 0 && back.ids('pubrec').length === 1, {
      everyMs: 1,
      what: 'the PUBREC',
    });
    expect(new Set(await second.drained())).toEqual(new Set(['first', '1:first']));
  });

  it('of a session that has ended is nothing to the next session of its client', async () => {
    const { life, device } = await startedLife();
    life.disks.sessions.hang();
    device.send(first);
    await life.journaled(1);
    life.disks.sessions.goOn();
    await device.receives('pubrec');
    device.drop();
    const clean = await life.device(true);
    clean.send({ cmd: 'disconnect' });
    await clean.closes();
    const renewed = await life.device();
    expect(renewed.of('connack')).toMatchObject([{ sessionPresent: false }]);
    renewed.send(subscribe(1, ['to/pump', 1]));
    await renewed.receives('suback');
    expect(await finish(await life.crash(), undefined)).toEqual(['first', 'next']);
  });
});

/** A device as MQTT 3.1.1 wants it, with a memory of its own. */
class ConformingDevice {
  /** By packet identifier: what waits for PUBREC, and whether it had it. */
  readonly #outgoing = new Map<number, { readonly payload: string; received: boolean }>();
  #count = 0;

  /** Sends again what is unfinished, in order, and `more` publications; answers what comes. Resolves with what it sent. */
  async live(life: Life, more: number, isOver: () => boolean): Promise<void> {
    const client = await life.device();
    expect(client.of('connack')).toMatchObject([{ sessionPresent: true }]);
    for (const [id, { payload, received }] of this.#outgoing) {
      client.send(received ? pubrel(id) : publish(id, 'a', payload, { qos: 2, dup: true }));
    }
    let seen = 0;
    let sent = 0;
    await until(
      () => {
        for (; seen < client.received.length; seen++) {
          const packet = client.received[seen]!;
          const id = packet.messageId!;
          if (packet.cmd === 'pubrec') {
            this.#outgoing.get(id)!.received = true;
            client.send(pubrel(id));
          } else if (packet.cmd === 'pubcomp') this.#outgoing.delete(id);
        }
        // Few identifiers, so that they are used again and again.
        for (const id of range(3)) {
          if (sent >= more || this.#outgoing.has(id)) continue;
          const payload = String(++this.#count);
          this.#outgoing.set(id, { payload, received: false });
          client.send(publish(id, 'a', payload, { qos: 2 }));
          sent++;
        }
        return isOver() || (sent >= more && this.#outgoing.size === 0);
      },
      { everyMs: 1, what: 'the end of a life' },
    );
    client.drop();
  }

  get payloads(): string[] {
    return range(this.#count).map(String);
  }
}

describe('a device that does as MQTT says', () => {
  it('has each of its QoS 2 publications in Kafka once and in order, wherever crashes come', async () => {
    const aLife = fc.record({
      more: fc.integer({ min: 1, max: 8 }),
      /** The sessions' disk hangs when the journal has so many records more. */
      hangAfter: fc.integer({ min: 0, max: 8 }),
      /** And the crash comes so many looks later. */
      further: fc.integer({ min: 0, max: 3 }),
      share: fc.constantFrom(0, 0.5, 1),
      checkpoint: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(aLife, { minLength: 1, maxLength: 4 }), async (lives) => {
        const { life, device } = await startedLife();
        let disks = await life.crash();
        device.drop();
        const pump = new ConformingDevice();
        for (const { more, hangAfter, further, share, checkpoint } of lives) {
          const current = await Life.begin(disks);
          let looks = 0;
          await pump.live(current, more, () => {
            if (looks === 0 && current.journal.stats.journaledRecords < hangAfter) return false;
            if (looks === 0) current.disks.sessions.hang();
            return ++looks > further;
          });
          if (checkpoint) await current.journal.checkpoint();
          disks = await current.crash(share);
        }
        const last = await Life.begin(disks);
        await pump.live(last, 2, () => false);
        expect(await last.drained()).toEqual(pump.payloads);
        await last.end();
      }),
      { numRuns: 12 },
    );
  });
});
