import { MAX_TOPIC_BYTES, MAX_TOPIC_LEVELS } from './topic-table.ts';

/**
 * Whether the text is a topic filter: `#` alone in the last level ([MQTT-4.7.1-2]), `+` alone in its level
 * ([MQTT-4.7.1-3]), at least one character ([MQTT-4.7.3-1]), at most {@link MAX_TOPIC_LEVELS} levels and
 * {@link MAX_TOPIC_BYTES} bytes.
 */
export function isTopicFilter(text: string): boolean {
  if (text === '' || Buffer.byteLength(text) > MAX_TOPIC_BYTES) return false;
  const levels = text.split('/');
  if (levels.length > MAX_TOPIC_LEVELS) return false;
  return levels.every((level, index) => {
    if (level === '#') return index === levels.length - 1;
    return level === '+' || !(level.includes('+') || level.includes('#'));
  });
}

const SHARED = '$share/';

/** Whether a topic filter names a shared subscription, or tries to. */
export const isShared = (filter: string): boolean => filter.startsWith(SHARED);

/**
 * The topic filter of a subscription: behind `$share/{group}/` (MQTT 5 section 4.8.2) or all of it. Undefined for a
 * shared subscription without one.
 */
export function plainFilter(filter: string): string | undefined {
  if (!isShared(filter)) return filter;
  const slash = filter.indexOf('/', SHARED.length);
  const group = filter.slice(SHARED.length, slash);
  if (slash < 0 || !/^[^+#]+$/.test(group)) return undefined;
  const plain = filter.slice(slash + 1);
  return isTopicFilter(plain) ? plain : undefined;
}

/** Whether a topic filter matches a topic name (MQTT 3.1.1 section 4.7). */
export function filterMatches(filter: string, topic: string): boolean {
  if (filter === topic) return true;
  // [MQTT-4.7.2-1]: a wildcard at the beginning does not match `$` topics.
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true;
    if (index >= levels.length) return false;
    if (level !== '+' && level !== levels[index]) return false;
  }
  return wanted.length === levels.length;
}

/** A level with more bytes than this costs more than one. */
const BYTES_A_LEVEL = 64;

/** What bounds of memory charge a topic filter with: its levels, each of which is a node of a tree, and its length. */
export function filterCost(filter: string): number {
  let levels = 1;
  for (let at = filter.indexOf('/'); at >= 0; at = filter.indexOf('/', at + 1)) levels++;
  return levels + Math.floor(filter.length / BYTES_A_LEVEL);
}

/** Sets and maps are made when something is in them: most nodes have one child and no values. */
interface Node<T> {
  children: Map<string, Node<T>> | undefined;
  /** Values of the filter that ends here, and of the one that ends in `#` behind here. */
  values: Set<T> | undefined;
  rest: Set<T> | undefined;
}

const newNode = <T>(): Node<T> => ({ children: undefined, values: undefined, rest: undefined });

/** Topic filters and what stands behind them, found by topic name level by level. */
export class FilterTree<T> {
  readonly #root = newNode<T>();
  /** Grows with every change, so that what was found can be kept until then. */
  generation = 0;
  /** Filters with values, each counted once for each of them. */
  size = 0;

  add(filter: string, value: T): void {
    let node = this.#root;
    const levels = filter.split('/');
    const rest = levels.at(-1) === '#';
    if (rest) levels.pop();
    for (const level of levels) {
      const children: Map<string, Node<T>> = (node.children ??= new Map<string, Node<T>>());
      let child = children.get(level);
      if (child === undefined) children.set(level, (child = newNode()));
      node = child;
    }
    const values = rest ? (node.rest ??= new Set()) : (node.values ??= new Set());
    this.size -= values.size;
    values.add(value);
    this.size += values.size;
    this.generation++;
  }

  remove(filter: string, value: T): void {
    const levels = filter.split('/');
    const rest = levels.at(-1) === '#';
    if (rest) levels.pop();
    const path = [this.#root];
    for (const level of levels) {
      const child = path.at(-1)?.children?.get(level);
      if (child === undefined) return;
      path.push(child);
    }
    const end = path.at(-1) as Node<T>;
    const values = rest ? end.rest : end.values;
    if (values?.delete(value) !== true) return;
    if (values.size === 0) end[rest ? 'rest' : 'values'] = undefined;
    this.generation++;
    this.size--;
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth] as Node<T>;
      if (node.children !== undefined || node.values !== undefined || node.rest !== undefined) return;
      const parent = path[depth - 1] as Node<T>;
      parent.children?.delete(levels[depth - 1] as string);
      if (parent.children?.size === 0) parent.children = undefined;
    }
  }

  /** The values of every filter that matches, each filter's in the order of their adding. */
  match(topic: string): T[] {
    const found: T[] = [];
    const levels = topic.split('/');
    // [MQTT-4.7.2-1]: a wildcard at the beginning does not match `$` topics.
    const wildcards = !topic.startsWith('$');
    collect(this.#root, levels, 0, wildcards, found);
    return found;
  }

  matches(topic: string): boolean {
    return this.match(topic).length > 0;
  }
}

function collect<T>(
  node: Node<T>,
  levels: readonly string[],
  depth: number,
  wild: boolean,
  found: T[],
): void {
  // "sport/#" matches "sport" too ([MQTT-4.7.1-2]), so `rest` is looked at before the level is.
  if (wild && node.rest !== undefined) found.push(...node.rest);
  if (depth === levels.length) {
    if (node.values !== undefined) found.push(...node.values);
    return;
  }
  if (node.children === undefined) return;
  const child = node.children.get(levels[depth] as string);
  if (child !== undefined) collect(child, levels, depth + 1, true, found);
  const any = wild ? node.children.get('+') : undefined;
  if (any !== undefined) collect(any, levels, depth + 1, true, found);
}
