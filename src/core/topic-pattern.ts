/** One level of a topic pattern. `any` is `+`, `rest` a last `#`; `named` matches one level and captures it. */
export type PatternLevel =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'named'; readonly name: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'rest' };

/** A parsed topic pattern: an MQTT topic filter whose `+` may have names, e.g. `fleet/{site}/{device}/telemetry`. */
export interface TopicPattern {
  /** As it was written. */
  readonly text: string;
  readonly levels: readonly PatternLevel[];
  /** The named levels, from left to right. */
  readonly names: readonly string[];
}

/** Why a text is no topic pattern: what is there, and what should be. */
export interface PatternProblem {
  readonly found: string;
  readonly expected: string;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const MAX_TOPIC_BYTES = 65_535;

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

  const parts = text.split('/');
  const levels: PatternLevel[] = [];
  const names: string[] = [];
  for (const [index, part] of parts.entries()) {
    if (part === '#') {
      if (index < parts.length - 1) return refuse('`#` as the last level only ([MQTT-4.7.1-2])');
      levels.push({ kind: 'rest' });
    } else if (part === '+') {
      levels.push({ kind: 'any' });
    } else if (part.includes('#') || part.includes('+')) {
      return refuse('`+` and `#` alone in their level ([MQTT-4.7.1-2], [MQTT-4.7.1-3])', `level \`${part}\``);
    } else if (part.includes('{') || part.includes('}')) {
      const name = part.startsWith('{') && part.endsWith('}') ? part.slice(1, -1) : '';
      if (!NAME.test(name)) {
        return refuse(
          'a whole level as `{name}`, the name of letters, digits, `_` and `-`',
          `level \`${part}\``,
        );
      }
      if (names.includes(name)) return refuse('every name once', `\`{${name}}\` twice`);
      names.push(name);
      levels.push({ kind: 'named', name });
    } else {
      levels.push({ kind: 'literal', text: part });
    }
  }
  return { pattern: { text, levels, names } };
}
