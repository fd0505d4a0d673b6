import { describe, expect, it } from 'vitest';

import { readinessOf } from '../../src/core/readiness.ts';
import { ClockWatch } from '../../src/assembly/clock-watch.ts';
import { ManualClock } from '../testbed/fleet/manual-clock.ts';
import { LogLines } from '../support/log-lines.ts';

/** Its wall clock can be set. */
class SettableClock extends ManualClock {
  offsetMs = 0;

  override wallMs(): number {
    return super.wallMs() + this.offsetMs;
  }

  set(time: string): void {
    this.offsetMs += Date.parse(time) - this.wallMs();
  }
}

function watch(time: string): { clock: SettableClock; log: LogLines; clockWatch: ClockWatch } {
  const clock = new SettableClock();
  clock.set(time);
  const log = new LogLines();
  const clockWatch = new ClockWatch({ clock, logger: log });
  clockWatch.start();
  return { clock, log, clockWatch };
}

const gauge = (clockWatch: ClockWatch): unknown => clockWatch.metrics()[0]?.read();

describe('a wall clock that has not been set', () => {
  it('is warned of at the start and when it is lost, once each time, and one line says when it is right again', () => {
    const { clock, log } = watch('1970-01-01T00:00:12Z');
    expect(log.lines).toEqual([
      'warn the clock says 1970-01-01T00:00:12.000Z: records of devices without a time of their own are dated so, and Kafka may delete them by retention at once {}',
    ]);
    clock.advance(3_600_000);
    expect(log.lines).toHaveLength(1);
    clock.set('2026-11-24T02:00:00Z');
    clock.advance(3_600_000);
    expect(log.lines.slice(1)).toEqual(['info the clock says 2026-11-24T02:00:01.000Z: it has been set {}']);
    // The build date of its image.
    clock.set('2024-05-01T00:00:00Z');
    clock.advance(3_600_000);
    expect(log.lines.slice(2)).toEqual([expect.stringMatching(/^warn the clock says 2024-05-01T00:00:01/)]);
  });

  it('is in readiness, banner and metric while it lasts, and turns no device away', () => {
    const { clock, clockWatch } = watch('1970-01-01T00:00:12Z');
    expect(readinessOf(clockWatch.conditions())).toMatchObject({
      ready: true,
      conditions: [{ name: 'clock', ready: false, reason: expect.stringContaining('00:00:12') as string }],
    });
    expect(clockWatch.warnings()).toEqual([expect.stringContaining('Kafka may delete them')]);
    expect(gauge(clockWatch)).toBe(1);
    clock.set('2026-11-24T02:00:00Z');
    clock.advance(1_000);
    expect([...clockWatch.conditions(), ...clockWatch.warnings()]).toEqual([]);
    expect(gauge(clockWatch)).toBe(0);
  });

  it('is not looked for any more after the stop', () => {
    const { clock, log, clockWatch } = watch('2026-11-24T02:00:00Z');
    clockWatch.stop();
    clock.set('1970-01-01T00:00:00Z');
    clock.advance(10_000);
    expect(log.lines).toEqual([]);
  });
});
