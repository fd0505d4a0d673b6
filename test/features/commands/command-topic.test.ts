import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeOf } from '../../../src/features/commands/command.ts';
import { Refusal, startCommands, type Posted } from './rig.ts';

const header = (key: string, value: string) => ({ key, value: Buffer.from(value) });

describe('a command', () => {
  it("is published to its device's session, under the topic of the template, and can be found again", () => {
    const { source, sessions } = startCommands();
    source.add(0, 'pump', 'on', { headers: [header('correlation-id', 'abc')] });
    source.add(0, 'pump', 'off');
    source.poll();
    expect(sessions.posted.map(({ message, text }) => [message.clientId, message.topic, text])).toEqual([
      ['c-pump', 'devices/pump/commands/abc', 'on'],
      // Without one of its own, Kafka's place of it tells it from all others.
      ['c-pump', 'devices/pump/commands/0-1', 'off'],
    ]);
    expect(placeOf(sessions.posted[1]!.message.reference)).toEqual({
      topic: 'commands',
      partition: 0,
      offset: 1n,
      device: 'pump',
    });
  });

  it('may name its device in a header', () => {
    const { source, sessions } = startCommands({ deviceHeader: 'to' });
    source.add(0, 'ignored', 'on', { headers: [header('to', 'valve')] });
    source.poll();
    expect(sessions.posted[0]!.message.clientId).toBe('c-valve');
  });

  it('expires after expiry.ms, or what its own header says, from its timestamp on', () => {
    const { source, sessions } = startCommands({ expiryMs: 1_000 });
    source.add(0, 'pump', 'on', { timestampMs: 5_000 });
    source.add(0, 'pump', 'off', { timestampMs: 5_000, headers: [header('expiry-ms', '250')] });
    source.poll();
    expect(sessions.posted.map(({ message }) => message.expiresAtMs)).toEqual([6_000, 5_250]);
  });

  it.each([
    ['NO_DEVICE', null, 'on', []],
    ['NO_DEVICE', '', 'on', []],
    ['INVALID_DEVICE', 'a/b', 'on', []],
    ['INVALID_DEVICE', '+', 'on', []],
    ['INVALID_DEVICE', 'x'.repeat(2_000), 'on', []],
    ['NO_VALUE', 'pump', null, []],
    ['INVALID_CORRELATION', 'pump', 'on', [header('correlation-id', '#')]],
    ['INVALID_EXPIRY', 'pump', 'on', [header('expiry-ms', 'soon')]],
  ])('that can not be one goes to the undelivered ones: %s', async (code, key, value, headers) => {
    const { source, sessions, outlet, commands, tick } = startCommands();
    source.add(0, key, value, { headers });
    source.poll();
    await tick();
    expect(sessions.posted).toEqual([]);
    expect(outlet.written).toMatchObject([{ topic: 'commands.undelivered', key, value }]);
    expect(outlet.written[0]!.headers.includes(code)).toBe(true);
    for (const { value: kept } of headers) expect(outlet.written[0]!.headers.includes(kept)).toBe(true);
    expect([...commands.stats.undelivered]).toEqual([[code, 1]]);
    expect(source.committed).toEqual([1n]);
  });
});

describe("a partition's offset", () => {
  it.each(['delivered', 'stored'] as const)('moves once a command is %s, not before', async (outcome) => {
    const { source, sessions, tick } = startCommands();
    source.add(0, 'pump', 'on');
    source.poll();
    await tick();
    expect(source.committed).toEqual([0n]);
    sessions.of('on').complete(outcome);
    await tick();
    expect(source.committed).toEqual([1n]);
  });

  it('stays before the first command that has not ended, whatever ended behind it', async () => {
    const { source, sessions, tick } = startCommands();
    for (const device of ['away', 'b', 'c']) source.add(0, device, device);
    source.poll();
    sessions.of('c').complete('delivered');
    sessions.of('b').complete('delivered');
    await tick();
    expect(source.committed).toEqual([0n]);
    sessions.of('away').complete('stored');
    await tick();
    expect(source.committed).toEqual([3n]);
  });

  it.each([
    ['queue-full', 'QUEUE_FULL'],
    ['expired', 'EXPIRED'],
    ['no-session', 'NO_SESSION'],
    ['not-subscribed', 'NOT_SUBSCRIBED'],
  ] as const)('moves over a command that is %s once Kafka has it as undelivered', async (outcome, code) => {
    const { source, sessions, outlet, commands, tick } = startCommands();
    outlet.completing = false;
    source.add(0, 'pump', 'on', { headers: [header('kept', 'yes')] });
    source.poll();
    sessions.of('on').complete(outcome);
    await tick();
    expect(outlet.written).toMatchObject([{ topic: 'commands.undelivered', key: 'pump', value: 'on' }]);
    for (const text of ['kept', code, 'devices/pump/commands/0-0', 'c-pump']) {
      expect(outlet.written[0]!.headers.includes(text)).toBe(true);
    }
    expect(source.committed).toEqual([0n]);
    outlet.written[0]!.complete();
    await tick();
    expect(source.committed).toEqual([1n]);
    expect(commands.stats).toMatchObject({ inFlight: 0, inFlightBytes: 0 });
  });

  it('waits for room at the producer, and is tried again when the broker refuses for now', async () => {
    const { source, outlet, tick, clock } = startCommands();
    outlet.hasRoom = false;
    outlet.completing = false;
    source.add(0, null, 'on');
    source.poll();
    await tick();
    expect(outlet.written).toEqual([]);
    outlet.makeRoom();
    outlet.written[0]!.complete(new Refusal('PARTITION_GONE', false));
    clock.advance(1_000);
    expect(outlet.written).toHaveLength(2);
    outlet.written[1]!.complete();
    await tick();
    expect(source.committed).toEqual([1n]);
  });

  it('moves over what Kafka will never take as undelivered: it stands in the command topic', async () => {
    const { source, outlet, tick } = startCommands();
    outlet.refusal = new Refusal('RECORD_TOO_LARGE', true);
    source.add(0, null, 'on');
    source.poll();
    await tick();
    expect(source.committed).toEqual([1n]);
  });

  it('is committed again when the commit failed, and at the stop', async () => {
    const { source, sessions, commands, tick } = startCommands();
    source.add(0, 'pump', 'on');
    source.poll();
    sessions.of('on').complete('delivered');
    source.commits = false;
    await tick();
    expect(source.committed).toEqual([0n]);
    source.commits = true;
    await commands.stop();
    expect(source.committed).toEqual([1n]);
  });

  it('is not waited for at the stop for ever: what is not committed comes again', async () => {
    const { source, sessions, commands, clock } = startCommands();
    source.add(0, 'pump', 'on');
    source.poll();
    sessions.of('on').complete('delivered');
    source.commit = () => new Promise<boolean>(() => {});
    const stopped = commands.stop();
    clock.advance(5_000);
    await stopped;
    expect(source.committed).toEqual([0n]);
  });
});

describe('what waits is bounded', () => {
  it('a device that is away takes no more than its share; the others go on', async () => {
    const { source, sessions, outlet, tick } = startCommands({ maxInFlight: 200, maxInFlightPerDevice: 5 });
    for (let n = 0; n < 100; n++) source.add(0, n % 2 === 0 ? 'away' : `d${n}`, String(n));
    source.poll();
    for (const { message, complete } of sessions.posted) {
      if (message.clientId !== 'c-away') complete('delivered');
    }
    await tick();
    // 50 of the device that is away: 5 wait for it.
    expect(outlet.written).toHaveLength(45);
    expect(source.positions).toEqual([100]);
    expect(source.committed).toEqual([0n]);
  });

  it('a full window holds its partition, and no other; room lets it go on', async () => {
    const { source, sessions, commands } = startCommands({ maxInFlight: 10, maxInFlightPerDevice: 10 }, 2);
    for (let n = 0; n < 30; n++) {
      source.add(0, `a${n}`, `a${n}`);
      source.add(1, `b${n}`, `b${n}`);
    }
    source.poll();
    expect(source.positions).toEqual([10, 10]);
    for (let n = 0; n < 10; n++) sessions.of(`b${n}`).complete('delivered');
    source.poll();
    expect(source.positions).toEqual([10, 20]);
    expect(commands.stats).toMatchObject({ inFlight: 20 });
    await commands.stop();
  });

  it('the window is bounded by bytes too, and a command that is larger than the bound goes alone', () => {
    const { source, sessions, commands } = startCommands({ maxInFlightBytes: 1_000 });
    for (let n = 0; n < 3; n++) source.add(0, `d${n}`, String(n).repeat(5_000));
    source.poll();
    expect(sessions.posted).toHaveLength(1);
    sessions.posted[0]!.complete('delivered');
    source.poll();
    expect(sessions.posted).toHaveLength(2);
    expect(commands.stats.inFlight).toBe(1);
  });

  it('a device that is there and never acknowledges is given up when ack.timeout.ms is over', async () => {
    const { source, sessions, outlet, commands, clock, tick } = startCommands();
    source.add(0, 'mute', 'on');
    source.poll();
    clock.advance(59_000);
    expect(outlet.written).toEqual([]);
    clock.advance(2_000);
    await tick();
    expect(outlet.written[0]!.headers.includes('NOT_ACKNOWLEDGED')).toBe(true);
    expect(source.committed).toEqual([1n]);
    // It does so after all.
    sessions.of('on').complete('delivered');
    await tick();
    expect(commands.stats).toMatchObject({ inFlight: 0, delivered: 0 });
  });
});

describe('a membership that begins anew', () => {
  it('offers again what was not committed; nothing of it is published twice', async () => {
    const { source, sessions, tick } = startCommands();
    for (const text of ['1', '2', '3']) source.add(0, 'pump', text);
    source.poll();
    sessions.of('2').complete('delivered');
    source.rejoin();
    source.poll();
    expect(sessions.posted).toHaveLength(3);
    sessions.of('1').complete('delivered');
    await tick();
    expect(source.committed).toEqual([2n]);
  });

  it('commits nothing that is behind where another gateway has come to', async () => {
    const { source, sessions, tick } = startCommands();
    for (const text of ['1', '2', '3', '4']) source.add(0, 'pump', text);
    source.poll(2);
    source.committed[0] = 3n;
    source.rejoin();
    sessions.of('1').complete('delivered');
    await tick();
    expect(source.committed).toEqual([3n]);
    source.poll();
    sessions.of('4').complete('delivered');
    await tick();
    expect(source.committed).toEqual([4n]);
  });

  it('begins at the beginning of a topic that was deleted and created again', async () => {
    const { source, sessions, tick } = startCommands();
    for (const text of ['1', '2']) source.add(0, 'pump', text);
    source.poll();
    for (const { complete } of sessions.posted) complete('delivered');
    await tick();
    source.logs[0] = [];
    source.committed[0] = 0n;
    source.add(0, 'pump', 'new');
    source.rejoin();
    source.poll();
    sessions.of('new').complete('delivered');
    await tick();
    expect(source.committed).toEqual([1n]);
  });
});

it('a stored command that is given up is written as undelivered, and then forgotten', async () => {
  const { sessions, outlet, commands, tick } = startCommands();
  outlet.completing = false;
  let forgotten = 0;
  const reference = 'commands 3 17 a b';
  const message = { clientId: 'c-a b', topic: 'devices/a b/x', payload: Buffer.from('on'), reference };
  commands.abandoned(message, placeOf(reference)!, 'expired', () => forgotten++);
  await tick();
  expect(outlet.written).toMatchObject([{ topic: 'commands.undelivered', key: 'a b', value: 'on' }]);
  expect(outlet.written[0]!.headers.includes('EXPIRED')).toBe(true);
  expect(forgotten).toBe(0);
  outlet.written[0]!.complete();
  expect(forgotten).toBe(1);
  expect(sessions.posted).toEqual([]);
});

describe('whatever happens, in whatever order', () => {
  const turn = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), device: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ kind: fc.constant('poll' as const), most: fc.integer({ min: 1, max: 6 }) }),
    fc.record({
      kind: fc.constant('complete' as const),
      which: fc.nat(),
      outcome: fc.constantFrom('delivered', 'stored', 'queue-full', 'expired', 'no-session'),
    }),
    fc.record({ kind: fc.constantFrom('tick' as const, 'rejoin' as const) }),
  );

  it('each device gets its commands once and in order, and what is committed has ended', async () => {
    const play = async (turns: readonly (typeof turn extends fc.Arbitrary<infer T> ? T : never)[]) => {
      const rig = startCommands({ maxInFlight: 8, maxInFlightPerDevice: 4 }, 2);
      const { source, sessions, outlet, commands, tick } = rig;
      const ended = new Set<string>();
      const open: Posted[] = [];
      const complete = (posted: Posted, outcome: Parameters<Posted['complete']>[0]): void => {
        if (outcome === 'delivered' || outcome === 'stored') ended.add(posted.text);
        posted.complete(outcome);
      };
      const poll = (most?: number): void => {
        const before = sessions.posted.length;
        source.poll(most);
        open.push(...sessions.posted.slice(before));
      };
      const check = (): void => {
        for (const [partition, log] of source.logs.entries()) {
          for (const { value } of log.slice(0, Number(source.committed[partition]))) {
            const text = value!.toString();
            expect(ended.has(text) || outlet.written.some((one) => one.value === text), text).toBe(true);
          }
        }
      };
      let count = 0;
      for (const one of turns) {
        if (one.kind === 'add') source.add(one.device % 2, `d${one.device}`, String(count++));
        else if (one.kind === 'poll') poll(one.most);
        else if (one.kind === 'complete') {
          for (const posted of open.splice(one.which % (open.length + 1), 1)) complete(posted, one.outcome);
        } else if (one.kind === 'tick') await tick();
        else source.rejoin();
        check();
      }
      for (let round = 0; round < 60; round++) {
        poll();
        for (const posted of open.splice(0)) complete(posted, 'delivered');
        await Promise.resolve();
      }
      await tick();
      check();
      expect(source.committed).toEqual(source.logs.map((log) => BigInt(log.length)));
      expect(commands.stats).toMatchObject({ inFlight: 0, inFlightBytes: 0, received: count });
      for (const device of [0, 1, 2, 3, 4]) {
        const own = sessions.posted.filter(({ message }) => message.clientId === `c-d${device}`);
        const numbers = own.map(({ text }) => Number(text));
        expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
      }
      await commands.stop();
    };
    await fc.assert(fc.asyncProperty(fc.array(turn, { maxLength: 80 }), play), { numRuns: 150 });
  });
});
