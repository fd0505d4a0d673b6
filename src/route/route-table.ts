import type { KeyFault } from '../core/fault.ts';
import { parseTopicPattern, type PatternLevel, type TopicPattern } from '../core/topic-pattern.ts';
import { whyBehind } from './specificity.ts';

/** What a topic matched: the pattern's target, and its named levels with what stood there. */
export interface RouteMatch<T> {
  readonly target: T;
  readonly captures: ReadonlyMap<string, string>;
}

/** A pattern that matches a topic, and why it stands where it does; for people. */
export interface RankedMatch<T> extends RouteMatch<T>, RouteTerms {
  readonly pattern: string;
  /** Why the pattern before it is more specific; undefined: it is the first. */
  readonly because: string | undefined;
  /** The pattern before it that stops, so that this one does not get the topic. */
  readonly stoppedBy: string | undefined;
}

/** The owner of a pattern, and whether less specific patterns are left out of a topic that it matches. */
interface RouteTerms {
  /** The name that a fault shows, e.g. a file. */
  readonly owner: string;
  readonly stop: boolean;
}

/** What ends at a node of the trie. */
interface Entry<T> extends RouteTerms {
  readonly target: T;
  readonly pattern: TopicPattern;
  /** The captures: each level's index and its name. */
  readonly names: readonly (readonly [level: number, name: string])[];
  /** Where the tail begins that `{name...}` captures. */
  readonly rest: readonly [level: number, name: string] | undefined;
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  /** `{name}` or `+`: any one level. */
  single: Node<T> | undefined;
  /** The patterns that end here. */
  readonly entries: Entry<T>[];
  /** The patterns that end here with `#` or `{name...}`. */
  readonly rest: Entry<T>[];
}

/**
 * Topic patterns and their targets, in a trie of topic levels.
 *
 * A topic leads to all patterns that match it, the most specific first. Patterns are compared from the left. At
 * the first level where they differ, a literal level or an alternative goes before `{name}` and `+`, and those
 * before `#` and `{name...}`. For example `fleet/oslo/+` goes before `fleet/{site}/dev-1`. The first pattern with
 * `stop` is the last of the list. The order in which patterns were added doesn't matter, except among patterns
 * that match exactly the same topics; none of these may stop.
 */
export class RouteTable<T> {
  readonly #root: Node<T> = newNode();
  #size = 0;

  /** Number of patterns. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a pattern. Returns a fault (its path is the profile's key, `topic`) in two cases: it is no topic pattern,
   * or another one matches exactly the same topics and one of the two stops.
   */
  add(pattern: string, target: T, terms: Partial<RouteTerms> = {}): KeyFault | undefined {
    const { owner = pattern, stop = false } = terms;
    const parsed = parseTopicPattern(pattern);
    if ('problem' in parsed) return { path: ['topic'], ...parsed.problem };
    const { levels } = parsed.pattern;

    const last = levels.at(-1);
    const open = last?.kind === 'rest';
    const places = ends(this.#root, levels).map((node) => (open ? node.rest : node.entries));
    const rival = places.flat().find((other) => stop || other.stop);
    if (rival !== undefined) {
      const whole = rival.pattern.text === pattern || places.every((place) => place.includes(rival));
      const same = `\`${rival.pattern.text}\` of ${rival.owner} matches ${whole ? 'exactly the same' : 'some of them'}`;
      const expected = `topics of its own: ${same}, and \`stop: true\` lets only one of them have it`;
      return { path: ['topic'], found: pattern, expected };
    }
    const entry: Entry<T> = {
      target,
      pattern: parsed.pattern,
      owner,
      stop,
      names: levels.flatMap((level, index) => {
        const name = level.kind === 'named' || level.kind === 'choice' ? level.name : undefined;
        return name === undefined ? [] : [[index, name] as const];
      }),
      rest: open && last.name !== undefined ? [levels.length - 1, last.name] : undefined,
    };
    for (const place of places) place.push(entry);
    this.#size += 1;
    return undefined;
  }

  /**
   * The patterns that match the topic name, the most specific first, up to the first that stops. A topic that
   * begins with `$` matches no pattern at all. ([MQTT-4.7.2-1] only keeps wildcards off such topics.)
   */
  match(topicName: string): readonly RouteMatch<T>[] {
    if (topicName.startsWith('$')) return [];
    const levels = topicName.split('/');
    const found: Entry<T>[] = [];
    descend(this.#root, levels, 0, found, true);
    return found.map((entry) => matchOf(entry, levels));
  }

  /** All patterns that match the topic name, in the order of {@link match}, including those behind one that stops. */
  rank(topicName: string): readonly RankedMatch<T>[] {
    if (topicName.startsWith('$')) return [];
    const levels = topicName.split('/');
    const found: Entry<T>[] = [];
    descend(this.#root, levels, 0, found, false);
    return found.map((entry, index) => {
      const before = found[index - 1];
      return {
        ...matchOf(entry, levels),
        pattern: entry.pattern.text,
        owner: entry.owner,
        stop: entry.stop,
        because: before && whyBehind(entry.pattern, before.pattern),
        stoppedBy: found.slice(0, index).find(({ stop }) => stop)?.pattern.text,
      };
    });
  }
}

function matchOf<T>({ target, names, rest }: Entry<T>, levels: readonly string[]): RouteMatch<T> {
  const captures = new Map(names.map(([level, name]) => [name, levels[level] ?? '']));
  if (rest !== undefined) captures.set(rest[1], levels.slice(rest[0]).join('/'));
  return { target, captures };
}

/** The nodes where a pattern ends, one for each combination of its alternatives. Missing nodes are made. */
function ends<T>(root: Node<T>, levels: readonly PatternLevel[]): Node<T>[] {
  let nodes = [root];
  for (const level of levels) {
    if (level.kind === 'rest') break;
    const texts = level.kind === 'literal' ? [level.text] : level.kind === 'choice' ? level.texts : undefined;
    nodes = nodes.flatMap((node) =>
      texts === undefined ? [(node.single ??= newNode())] : texts.map((text) => literal(node, text)),
    );
  }
  return nodes;
}

function literal<T>(node: Node<T>, text: string): Node<T> {
  let next = node.literals.get(text);
  if (next === undefined) node.literals.set(text, (next = newNode()));
  return next;
}

/**
 * Depth first, the most specific branch first. The depth is bounded by the longest pattern, not by the topic.
 * Returns true when it has found a pattern that stops; with `stops` the search ends there.
 */
function descend<T>(
  node: Node<T>,
  levels: readonly string[],
  depth: number,
  found: Entry<T>[],
  stops: boolean,
): boolean {
  const level = levels[depth];
  if (level === undefined) {
    // `a/#` matches `a` too (MQTT 3.1.1, section 4.7.1.2).
    return collect(node.entries, found, stops) || collect(node.rest, found, stops);
  }
  const next = node.literals.get(level);
  return (
    (next !== undefined && descend(next, levels, depth + 1, found, stops)) ||
    (node.single !== undefined && descend(node.single, levels, depth + 1, found, stops)) ||
    collect(node.rest, found, stops)
  );
}

function collect<T>(entries: readonly Entry<T>[], found: Entry<T>[], stops: boolean): boolean {
  found.push(...entries);
  return stops && entries.some(({ stop }) => stop);
}

function newNode<T>(): Node<T> {
  return { literals: new Map(), single: undefined, entries: [], rest: [] };
}
