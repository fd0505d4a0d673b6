import type { PatternLevel, TopicPattern } from '../core/topic-pattern.ts';

const RANKS: Readonly<Record<PatternLevel['kind'], number>> = {
  literal: 0,
  choice: 0,
  named: 1,
  any: 1,
  rest: 2,
};

/** A smaller rank is more specific. undefined: the pattern ends before this level. */
function rank(level: PatternLevel | undefined): number {
  return level === undefined ? 0 : RANKS[level.kind];
}

/** Why one of two patterns that match the same topic goes before the other, in words. */
export function whyBehind(pattern: TopicPattern, before: TopicPattern): string {
  const length = Math.max(pattern.levels.length, before.levels.length);
  for (let index = 0; index < length; index++) {
    const own = pattern.levels[index];
    const other = before.levels[index];
    if (rank(own) === rank(other)) continue;
    return `level ${index + 1}, ${levelText(own)}, is less specific than ${levelText(other)}`;
  }
  return 'it matches in the same way, and its file comes later';
}

/** Why a pattern does not match a topic, in words; undefined: it does. */
export function whyNot({ levels }: TopicPattern, topicName: string): string | undefined {
  if (topicName.startsWith('$')) return 'topics that begin with `$` are never routed';
  const found = topicName.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.kind === 'rest') return undefined;
    const text = found[index];
    if (text === undefined) return `it has ${levels.length} levels, the topic ${found.length}`;
    if (!matches(level, text)) {
      return `level ${index + 1} is ${levelText(level)}, the topic has \`${text}\``;
    }
  }
  return found.length > levels.length
    ? `it has ${levels.length} levels, the topic ${found.length}`
    : undefined;
}

function matches(level: PatternLevel, text: string): boolean {
  if (level.kind === 'literal') return level.text === text;
  return level.kind === 'choice' ? level.texts.includes(text) : true;
}

/** A level as it is written in a pattern. */
function levelText(level: PatternLevel | undefined): string {
  switch (level?.kind) {
    case undefined:
      return 'its end';
    case 'literal':
      return `\`${level.text}\``;
    case 'named':
      return `\`{${level.name}}\``;
    case 'any':
      return '`+`';
    case 'choice': {
      const texts = level.texts.join('|');
      return level.name === undefined ? `\`(${texts})\`` : `\`{${level.name}:${texts}}\``;
    }
    case 'rest':
      return level.name === undefined ? '`#`' : `\`{${level.name}...}\``;
  }
}
