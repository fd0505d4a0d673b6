import { describe, expect, it } from 'vitest';
import { LiveLine } from '../../../src/cli/terminal/terminal-text.ts';
import { duration, list, rate, wholeNumber } from '../../../src/cli/terminal/option-values.ts';
import { simulatedTypes } from '../../../src/testbed/fleet/simulated-types.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { SimulatedDevice } from '../../../src/testbed/fleet/device.ts';
import { sensorProfile } from './profiles.ts';

describe('option values', () => {
  it('reads durations with their units', () => {
    expect(['30s', '500ms', '2m', '1.5h', '10'].map(duration)).toEqual([
      30_000, 500, 120_000, 5_400_000, 10_000,
    ]);
    for (const text of ['', '0s', '-1s', 's', '5 s', '1d', 'max'])
      expect(() => duration(text)).toThrow(/expected/);
  });

  it('reads rates, and max', () => {
    expect(['1000', '0.5', 'max', '0'].map(rate)).toEqual([1000, 0.5, 0, 0]);
    for (const text of ['', '-1', 'fast', '1e3']) expect(() => rate(text)).toThrow(/expected/);
  });

  it('reads whole numbers, and lists from commas or repetition', () => {
    expect(wholeNumber(1)('42')).toBe(42);
    for (const text of ['0', '1.5', '-1', 'x', '']) expect(() => wholeNumber(1)(text)).toThrow(/at least 1/);
    expect(list('c', list('a,b', undefined))).toEqual(['a', 'b', 'c']);
  });
});

describe('simulatedTypes', () => {
  const { profiles } = loadConfig('sluice.yaml', {});

  it('plays every shipped device type that says how, with readings that its own schema takes', () => {
    const types = simulatedTypes(profiles);
    const simulated = profiles.filter(({ simulate }) => simulate !== undefined).map(({ type }) => type);
    expect(simulated).toEqual(expect.arrayContaining(['energy-meter', 'env-sensor', 'tracker']));
    expect(types.map(({ profile }) => profile.type).sort()).toEqual(simulated.sort());
    for (const type of types) {
      const device = new SimulatedDevice(type, 1, { seed: 1, prefix: '' });
      expect(device.read(1, Date.now()).length).toBeGreaterThan(10);
    }
  });

  it('names an unknown type and those that there are', () => {
    expect(() => simulatedTypes(profiles, ['fridge'])).toThrow(
      /no device profile has the type fridge.*env-sensor/,
    );
  });

  it('says when nothing can be simulated', () => {
    const { simulate, ...silent } = sensorProfile();
    expect(simulate).toBeDefined();
    expect(() => simulatedTypes([silent])).toThrow('no device profile has a simulate: section');
  });
});

describe('LiveLine', () => {
  const stream = (
    isTTY: boolean,
  ): { isTTY: boolean; columns: number; text: string; write(text: string): void } => ({
    isTTY,
    columns: 20,
    text: '',
    write(text) {
      this.text += text;
    },
  });

  it('overwrites one line of a terminal, cut to its width, and leaves nothing behind', () => {
    const terminal = stream(true);
    const line = new LiveLine(terminal);
    line.show('x'.repeat(50));
    line.show('second');
    line.clear();
    expect(terminal.text).toBe(`\r\u001b[2K${'x'.repeat(19)}\r\u001b[2Ksecond\r\u001b[2K`);
  });

  it('writes nothing where there is no terminal', () => {
    const file = stream(false);
    const line = new LiveLine(file);
    line.show('text');
    line.clear();
    expect(file.text).toBe('');
  });
});
