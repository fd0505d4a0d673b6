import type { KeyFault } from '../core/fault.ts';
import { parseTopicPattern } from '../core/topic-pattern.ts';

/** What a topic matched: the pattern's target, and its named levels with what stood there. */
export interface RouteMatch<T> {
  readonly target: T;
  readonly captures: ReadonlyMap<string, string>;
}

/** What ends at a node of the trie. */
interface Entry<T> {
  readonly target: T;
  readonly pattern: string;
  /** Who added it, for the fault that names both sides. */
  readonly owner: string;
  /** Names of the levels that were captured on the way here: one each, undefined for `+`. */
  readonly names: readonly (string | undefined)[];
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>;
  /** `{name}` or `+`: any one level. */
  single: Node<T> | undefined;
  /** The pattern that ends here. */
  entry: Entry<T> | undefined;
  /** The pattern that ends here with `#`. */
  rest: Entry<T> | undefined;
}

/**
 * Topic patterns and what they lead to, in a trie of topic levels.
 *
 * Of several patterns that match a topic the most specific wins: compared from the left, at the first level
 * where they differ, a literal level wins over `{name}` and `+`, and those over `#`. So the result never
 * depends on the order in which patterns were added, and two patterns that match exactly the same topics
 * are refused.
 */
export class RouteTable<T> {
  readonly #root: Node<T> = newNode();
  #size = 0;

  /** Number of patterns. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a pattern. Returns the fault (its path is the profile's key, `topic`) if it is no topic pattern, or
   * if another one matches exactly the same topics. `owner` is whom that fault should name, e.g. a file.
   */
  add(pattern: string, target: T, owner = pattern): KeyFault | undefined {
    const parsed = parseTopicPattern(pattern);
    if ('problem' in parsed) return { path: ['topic'], ...parsed.problem };

    const names: (string | undefined)[] = [];
    let node = this.#root;
    let open = false;
    for (const level of parsed.pattern.levels) {
      if (level.kind === 'literal') {
        let next = node.literals.get(level.text);
        if (next === undefined) {
          next = newNode();
          node.literals.set(level.text, next);
        }
        node = next;
      } else if (level.kind === 'rest') {
        open = true;
      } else {
        names.push(level.kind === 'named' ? level.name : undefined);
        node = node.single ??= newNode();
      }
    }

    const taken = open ? node.rest : node.entry;
    if (taken !== undefined) {
      return {
        path: ['topic'],
        found: pattern,
        expected: `topics of its own: \`${taken.pattern}\` of ${taken.owner} matches exactly the same`,
      };
    }
    const entry: Entry<T> = { target, pattern, owner, names };
    if (open) node.rest = entry;
    else node.entry = entry;
    this.#size += 1;
    return undefined;
  }

  /**
   * The most specific pattern that matches the topic name. A topic that begins with `$` matches nothing,
   * whatever the pattern ([MQTT-4.7.2-1] keeps wildcards off it, and we route none at all).
   */
  match(topicName: string): RouteMatch<T> | undefined {
    if (topicName.startsWith('$')) return undefined;
    const levels = topicName.split('/');
    const captured: string[] = [];
    const entry = descend(this.#root, levels, 0, captured);
    if (entry === undefined) return undefined;
    const captures = new Map<string, string>();
    for (const [index, name] of entry.names.entries()) {
      if (name !== undefined) captures.set(name, captured[index] ?? '');
    }
    return { target: entry.target, captures };
  }
}

/**
 * Depth first, the most specific branch first, so the first hit is the answer. The depth is that of the
 * longest pattern, not of the topic. Leaves in `captured` the levels that `single` steps took.
 */
function descend<T>(
  node: Node<T>,
  levels: readonly string[],
  depth: number,
  captured: string[],
): Entry<T> | undefined {
  const level = levels[depth];
  // `a/#` matches `a` too (MQTT 3.1.1, section 4.7.1.2).
  if (level === undefined) return node.entry ?? node.rest;

  const literal = node.literals.get(level);
  if (literal !== undefined) {
    const entry = descend(literal, levels, depth + 1, captured);
    if (entry !== undefined) return entry;
  }
  if (node.single !== undefined) {
    captured.push(level);
    const entry = descend(node.single, levels, depth + 1, captured);
    if (entry !== undefined) return entry;
    captured.pop();
  }
  return node.rest;
}

function newNode<T>(): Node<T> {
  return { literals: new Map(), single: undefined, entry: undefined, rest: undefined };
}
