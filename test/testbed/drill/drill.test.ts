import { describe, expect, it } from 'vitest';
import { Drill, DrillError } from '../../../src/testbed/drill/drill.ts';
import {
  faultsOf,
  type DrillResult,
  type DrillSetting,
} from '../../../src/testbed/drill/report/drill-result.ts';
import { SCENARIOS, type ScenarioName } from '../../../src/testbed/drill/scenarios.ts';
import { ManualClock } from '../fleet/manual-clock.ts';
import { ScriptedSite } from './scripted-site.ts';

const SETTING: DrillSetting = {
  contract: 'kafka',
  devices: 2,
  rate: 20,
  faultMs: 9_000,
  drainTimeoutMs: 30_000,
  usesJournal: false,
  checkpointMs: 1_000,
  journalBytes: undefined,
  paddingBytes: 0,
};

interface Rig {
  readonly site: ScriptedSite;
  readonly clock: ManualClock;
  /** Runs the drill to its end; `look` is called with the time, again and again. */
  readonly play: (name: ScenarioName, setting?: Partial<DrillSetting>) => Promise<DrillResult>;
  look: (nowMs: number) => void;
}

function rig(): Rig {
  const clock = new ManualClock();
  const site = new ScriptedSite(clock);
  const made: Rig = {
    site,
    clock,
    look: () => {},
    play: async (name, setting = {}) => {
      const scenario = SCENARIOS.find((each) => each.name === name)!;
      const drill = new Drill(site, { scenario, setting: { ...SETTING, ...setting }, clock, onEvent() {} });
      const state = { isDone: false };
      const result = drill.run().finally(() => (state.isDone = true));
      result.catch(() => undefined);
      while (!state.isDone) {
        made.look(clock.monotonicMs());
        clock.advance(10);
        await new Promise(setImmediate);
      }
      return result;
    },
  };
  return made;
}

describe('a drill', () => {
  it('of kafka-down refuses, holds, is silent, opens, and is passed by whoever loses nothing', async () => {
    const { site, play } = rig();
    const result = await play('kafka-down');
    expect(site.events).toEqual([
      'start',
      'kafka refused',
      'kafka held',
      'kafka silent',
      'kafka open',
      'stop',
      'read',
    ]);
    expect(faultsOf(result)).toEqual([]);
    expect(result.sent).toBeGreaterThan(200);
    expect(result).toMatchObject({ acknowledged: result.sent, verdict: { records: result.sent } });
    const { faultMs, healedMs, drainedMs } = result.moments;
    expect(healedMs - faultMs).toBeGreaterThanOrEqual(9_000);
    expect(drainedMs! - healedMs).toBeLessThan(200);
    expect(result.puback.during.maxMs).toBeGreaterThan(8_000);
    expect(result.puback.before.maxMs).toBeLessThan(100);
    expect(result.samples.every(({ residentBytes }) => residentBytes === 100 * 2 ** 20)).toBe(true);
  });

  it('of crash kills the gateway three times and starts it again each time', async () => {
    const { site, play } = rig();
    const result = await play('crash');
    expect(site.events).toEqual(['start', 'kill', 'start', 'kill', 'start', 'kill', 'start', 'stop', 'read']);
    expect(faultsOf(result)).toEqual([]);
  });

  it('of reconnect-storm resets all connections, and lets them in together', async () => {
    const { site, play } = rig();
    const result = await play('reconnect-storm');
    const storm = ['devices held', 'devices reset', 'devices open'];
    expect(site.events).toEqual(['start', ...storm, ...storm, ...storm, 'stop', 'read']);
    expect(result.lostConnections).toBe(6);
  });

  it.each(['kafka-slow', 'disk-full'] as const)('%s: mends what it broke', async (name) => {
    const { site, play } = rig();
    expect(faultsOf(await play(name))).toEqual([]);
    expect(site.events.filter((event) => event.startsWith('kafka')).at(-1)).toBe('kafka open');
  });

  it('is failed by one acknowledged message that is not in Kafka, and names it', async () => {
    const { site, play } = rig();
    site.loses = { deviceId: 'b', sequence: 40, partition: 1 };
    expect(faultsOf(await play('kafka-down'))).toEqual([
      '1 (b#40) acknowledged to the device and not in Kafka',
    ]);
  });

  it('is failed by whoever never acknowledges what was sent in the outage', async () => {
    const made = rig();
    made.look = (nowMs) => {
      if (nowMs > 8_000) made.site.isMute = true;
    };
    const faults = faultsOf(await made.play('kafka-down'));
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(/^messages that were never acknowledged: \d+$/);
    expect(faults[1]).toBe('what was sent before the end of the fault was not through after 30 s');
  });

  it('is failed by dead letters, refused devices and a gateway that does not stop cleanly', async () => {
    const { site, play } = rig();
    Object.assign(site, { deadLetters: 2, refused: 1, exit: 'SIGKILL' });
    expect(faultsOf(await play('kafka-down'))).toEqual([
      'dead letters: 2',
      'devices that were not let in: 1',
      'the gateway did not stop cleanly: SIGKILL',
    ]);
  });

  it('with a journal waits until Kafka has what devices were acknowledged', async () => {
    const made = rig();
    made.site.lag = 1_000;
    made.look = (nowMs) => {
      if (nowMs > 25_000) made.site.lag = 0;
    };
    const result = await made.play('kafka-down', { usesJournal: true, contract: 'journal' });
    expect(result.moments.drainedMs).toBeGreaterThan(25_000);
    expect(faultsOf(result)).toEqual([]);
  });

  it('does not begin to break things before anything was acknowledged', async () => {
    const { site, play } = rig();
    site.isMute = true;
    await expect(play('kafka-down')).rejects.toMatchObject({ code: 'DRILL_NO_TRAFFIC' });
    expect(site.events).toEqual(['start']);
  });

  it('ends at once, with the reason, when it is interrupted or the gateway ends by itself', async () => {
    const made = rig();
    const reason = new DrillError('DRILL_GATEWAY', 'it ended');
    made.look = (nowMs) => {
      if (nowMs > 6_000) made.site.fail(reason);
    };
    await expect(made.play('kafka-down')).rejects.toBe(reason);
    expect(made.clock.monotonicMs()).toBeLessThan(6_500);
    expect(made.site.events).not.toContain('read');
  });
});
