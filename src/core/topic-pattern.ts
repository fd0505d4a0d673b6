import type { KeyFault } from './fault.ts';

/**
 * One level of a topic pattern. `named` matches any one level and captures it. `any` is `+`. `choice` is `(a|b)`,
 * or `{name:a|b}`, which captures. `rest` is a last `#`, or a last `{name...}`, which captures. It matches all
 * further levels with their slashes, or none.
 */
export type PatternLevel =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'choice'; readonly texts: readonly string[]; readonly name: string | undefined }
  | { readonly kind: 'rest'; readonly name: string | undefined };

/** A parsed topic pattern: an MQTT topic filter whose `+` may have names, e.g. `fleet/{site}/{device}/telemetry`. */
export interface TopicPattern {
  /** As it was written. */
  readonly text: string;
  readonly levels: readonly PatternLevel[];
  /** The names of the captured levels, from left to right. */
  readonly names: readonly string[];
}

/** Why a text is no topic pattern: what is there, and what is expected. */
type PatternProblem = Omit<KeyFault, 'path'>;

const NAME = '[A-Za-z_][A-Za-z0-9_-]*';
const NAMED = new RegExp(`^\\{(${NAME})(\\.\\.\\.|:[^{}()]*)?\\}$`);
const MAX_TOPIC_BYTES = 65_535;
/**
 * The most combinations that a pattern's alternatives may make. Each combination takes its own place in the
 * routes.
 */
const MAX_COMBINATIONS = 256;

/** Parses a topic pattern by the rules for topic filters of MQTT 3.1.1, section 4.7. Never throws. */
export function parseTopicPattern(
  text: string,
): { readonly pattern: TopicPattern } | { readonly problem: PatternProblem } {
  const refuse = (expected: string, found = JSON.stringify(text)): { problem: PatternProblem } => ({
    problem: { found, expected },
  });
  if (text === '') return refuse('at least one character ([MQTT-4.7.3-1])');
  if (text.includes('\0')) return refuse('a pattern without the character NUL ([MQTT-4.7.3-2])');
  if (!text.isWellFormed() || Buffer.byteLength(text, 'utf8') > MAX_TOPIC_BYTES) {
    return refuse(`at most ${MAX_TOPIC_BYTES} bytes of valid UTF-8 ([MQTT-4.7.3-3])`, 'text that is not');
  }
  if (text.startsWith('$share/')) {
    return refuse('the pattern without `$share/<group>/`: the bridge sees every message once anyway');
  }
  if (text.startsWith('$')) return refuse('a topic that does not begin with `$`: those are never routed');

  const levels: PatternLevel[] = [];
  const names: string[] = [];
  let combinations = 1;
  const parts = text.split('/');
  for (const [index, part] of parts.entries()) {
    const parsed = parseLevel(part);
    if ('expected' in parsed) return { problem: parsed };
    if (parsed.kind === 'rest' && index < parts.length - 1) {
      return refuse(`\`${part}\` as the last level only ([MQTT-4.7.1-2])`);
    }
    const name = 'name' in parsed ? parsed.name : undefined;
    if (name !== undefined) {
      if (names.includes(name)) return refuse('every name once', `\`{${name}}\` twice`);
      names.push(name);
    }
    if (parsed.kind === 'choice') combinations *= parsed.texts.length;
    levels.push(parsed);
  }
  if (combinations > MAX_COMBINATIONS) {
    const expected = `alternatives that make at most ${MAX_COMBINATIONS} combinations`;
    return refuse(expected, `${combinations} of them`);
  }
  return { pattern: { text, levels, names } };
}

function parseLevel(part: string): PatternLevel | PatternProblem {
  if (part === '#') return { kind: 'rest', name: undefined };
  if (part === '+') return { kind: 'any' };
  const found = `level \`${part}\``;
  if (part.includes('#') || part.includes('+')) {
    return { found, expected: '`+` and `#` alone in their level ([MQTT-4.7.1-2], [MQTT-4.7.1-3])' };
  }
  if (part.startsWith('(') && part.endsWith(')') && part.includes('|')) {
    return parseChoice(part.slice(1, -1), undefined, found);
  }
  if (!part.includes('{') && !part.includes('}')) return { kind: 'literal', text: part };
  const match = NAMED.exec(part);
  if (match === null) {
    const forms = '`{name}`, `{name:a|b}` or `{name...}`';
    return { found, expected: `a whole level as ${forms}, the name of letters, digits, \`_\` and \`-\`` };
  }
  const [, name = '', suffix] = match;
  if (suffix === undefined) return { kind: 'named', name };
  if (suffix === '...') return { kind: 'rest', name };
  return parseChoice(suffix.slice(1), name, found);
}

function parseChoice(text: string, name: string | undefined, found: string): PatternLevel | PatternProblem {
  const texts = text.split('|');
  if (texts.some((choice) => choice === '' || /[{}()]/.test(choice)) || new Set(texts).size < texts.length) {
    return { found, expected: 'different alternatives of at least one character, with `|` between them' };
  }
  return { kind: 'choice', texts, name };
}
