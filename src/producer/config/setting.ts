import { Secret } from '../../core/secret.ts';

/** What is legal for a setting. */
export interface SettingType<T> {
  /** For a person. */
  readonly expected: string;
  /** The same as JSON Schema, as near as that comes to it. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The value is never shown. */
  readonly isSecret?: boolean;
  /** undefined when the value is not legal. */
  parse(value: unknown): T | undefined;
}

/** One row of the table. */
export interface Setting<T, Name extends string = string> {
  /** Kafka's name. */
  readonly name: Name;
  readonly type: SettingType<T>;
  /** Kafka 4's default, unless `meaning` says why not. */
  readonly default: T;
  readonly meaning: string;
}

/** What a setting's value is once it is checked. */
export type SettingValue<Row> = Row extends Setting<infer T> ? T : never;

interface Unexplained<T, Name extends string> {
  meaning(text: string): Setting<T, Name>;
}

/**
 * A row that reads like one: name, type, default, and then what it means. Without a default the value is undefined
 * where nobody sets it.
 */
export function setting<const Name extends string, T>(
  name: Name,
  type: SettingType<T>,
): Unexplained<T | undefined, Name>;
export function setting<const Name extends string, T>(
  name: Name,
  type: SettingType<T>,
  value: NoInfer<T>,
): Unexplained<T, Name>;
export function setting<T>(
  name: string,
  type: SettingType<T>,
  value?: T,
): Unexplained<T | undefined, string> {
  return { meaning: (text) => ({ name, type, default: value, meaning: text }) };
}

/** Numbers are taken as text too, as the environment gives them. */
export function integer(least: number, most: number): SettingType<number> {
  return {
    expected: `an integer from ${least} to ${most}`,
    // Of these keywords each counts for its own type.
    json: { type: ['integer', 'string'], minimum: least, maximum: most, pattern: '^\\s*-?\\d+\\s*$' },
    parse(value) {
      const number = typeof value === 'string' && /^-?\d+$/.test(value.trim()) ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isInteger(number)) return undefined;
      return number >= least && number <= most ? number : undefined;
    },
  };
}

export function boolean(): SettingType<boolean> {
  return {
    expected: 'true or false',
    json: { enum: [true, false, 'true', 'false'] },
    parse: (value) => [true, false].find((candidate) => candidate === value || String(candidate) === value),
  };
}

export function text(minLength = 1): SettingType<string> {
  return {
    expected: 'a text',
    json: { type: 'string', minLength },
    parse: (value) => (typeof value === 'string' && value.length >= minLength ? value : undefined),
  };
}

export function secret(): SettingType<Secret> {
  return {
    // 007 is a number in YAML, and not the password that was meant.
    expected: 'a text, in quotes if it looks like a number',
    json: { type: 'string', minLength: 1 },
    isSecret: true,
    parse: (value) => (typeof value === 'string' && value !== '' ? new Secret(value) : undefined),
  };
}

/** One of a few words. */
export function choice<T extends string>(...values: readonly T[]): SettingType<T> {
  return {
    expected: `one of ${values.join(', ')}`,
    json: { enum: values },
    parse: (value) => values.find((candidate) => candidate === value),
  };
}
