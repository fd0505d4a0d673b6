import type { CapturedMessage } from '../capture/captured-message.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import { changesBetween, kindText, type Change } from './fate-changes.ts';
import type { Fate, Rehearsal } from './rehearsal.ts';

/** A message that shows a change. */
interface Example {
  /** Its place in the capture, from 1. */
  readonly index: number;
  readonly topic: string;
  readonly from: string;
  readonly to: string;
}

/** A change that several messages show. */
export interface ChangeGroup {
  /** The device type; undefined: no profile matches in either configuration. */
  readonly type: string | undefined;
  readonly what: string;
  /** Where all of them are alike: what they become. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly records: number;
  readonly examples: readonly Example[];
}

interface Totals {
  messages: number;
  changedMessages: number;
  /** Records that fail with the new configuration and did not before; and the other way round. */
  newFailures: number;
  mended: number;
  firstAtMs: number | undefined;
  lastAtMs: number | undefined;
}

export interface PlanReport extends Readonly<Totals> {
  /** Records a Kafka topic, and of what is none, in brackets; sorted. */
  readonly topics: readonly { readonly topic: string; readonly present: number; readonly next: number }[];
  readonly groups: readonly ChangeGroup[];
  /** Changes beyond those groups that there is room for. */
  readonly ungrouped: number;
  /** Device types of the new configuration that no message of the capture belongs to: nothing is known of those. */
  readonly unseen: readonly string[];
}

/** Kinds of changes that are told apart; more are counted together. */
const MAX_GROUPS = 500;
const EXAMPLE_CHARACTERS = 200;

interface Group extends ChangeGroup {
  records: number;
  readonly examples: Example[];
}

/**
 * Performs captured messages with two configurations side by side, each remembering of devices what it would, and
 * collects what differs. What it holds doesn't grow with the capture: groups, counts and a few examples.
 */
export class Plan {
  readonly #present: Rehearsal;
  readonly #next: Rehearsal;
  readonly #examples: number;
  readonly #groups = new Map<string, Group>();
  readonly #topics = new Map<string, { present: number; next: number }>();
  readonly #seen = new Set<string>();
  readonly #totals: Totals = {
    messages: 0,
    changedMessages: 0,
    newFailures: 0,
    mended: 0,
    firstAtMs: undefined,
    lastAtMs: undefined,
  };
  #ungrouped = 0;

  /** `examples` is how many messages are kept of each change. */
  constructor(present: Rehearsal, next: Rehearsal, examples: number) {
    this.#present = present;
    this.#next = next;
    this.#examples = examples;
  }

  perform(message: CapturedMessage): void {
    const totals = this.#totals;
    totals.messages++;
    totals.firstAtMs ??= message.receivedAtMs;
    totals.lastAtMs = message.receivedAtMs;
    const present = byPlace(this.#present.perform(message));
    const next = byPlace(this.#next.perform(message));
    let changed = false;
    for (const place of new Set([...present.keys(), ...next.keys()])) {
      const from = present.get(place);
      const to = next.get(place);
      this.#count(from, 'present');
      this.#count(to, 'next');
      const changes = changesBetween(
        { fate: from, profile: profileOf(this.#present, from) },
        { fate: to, profile: profileOf(this.#next, to) },
      );
      if (changes.length === 0) continue;
      changed = true;
      if (!isFailure(from) && isFailure(to)) totals.newFailures++;
      if (isFailure(from) && to !== undefined && !isFailure(to)) totals.mended++;
      for (const change of changes) this.#group((to ?? from)?.type, change, message);
    }
    if (changed) totals.changedMessages++;
  }

  report(): PlanReport {
    return {
      ...this.#totals,
      topics: [...this.#topics]
        .map(([topic, counts]) => ({ topic, ...counts }))
        .sort((a, b) => (a.topic < b.topic ? -1 : 1)),
      groups: [...this.#groups.values()].sort(byTypeAndWeight),
      ungrouped: this.#ungrouped,
      unseen: this.#next.blueprint.profiles.map(({ type }) => type).filter((type) => !this.#seen.has(type)),
    };
  }

  #count(fate: Fate | undefined, side: 'present' | 'next'): void {
    if (fate === undefined) return;
    if (side === 'next' && fate.type !== undefined) this.#seen.add(fate.type);
    const topic = fate.record?.topic ?? `(${kindText(fate)})`;
    const counts = this.#topics.get(topic) ?? { present: 0, next: 0 };
    counts[side]++;
    this.#topics.set(topic, counts);
  }

  #group(type: string | undefined, { what, from, to }: Change, message: CapturedMessage): void {
    const alike = what === 'becomes' || what === 'contract';
    const name = [type ?? '', what, ...(alike ? [from, to] : [])].join('\n');
    let group = this.#groups.get(name);
    if (group === undefined) {
      if (this.#groups.size >= MAX_GROUPS) {
        this.#ungrouped++;
        return;
      }
      const ends = alike ? { from, to } : { from: undefined, to: undefined };
      group = { type, what, ...ends, records: 0, examples: [] };
      this.#groups.set(name, group);
    }
    group.records++;
    if (group.examples.length >= this.#examples) return;
    const texts = { from: shortened(from), to: shortened(to) };
    group.examples.push({ index: this.#totals.messages, topic: message.topic, ...texts });
  }
}

/** By device type and reading: what belongs together in both configurations. */
function byPlace(fates: readonly Fate[]): Map<string, Fate> {
  return new Map(fates.map((fate) => [`${fate.type ?? ''}\n${fate.reading ?? ''}`, fate]));
}

function profileOf({ blueprint }: Rehearsal, fate: Fate | undefined): DeviceProfile | undefined {
  return fate && blueprint.profiles.find(({ type }) => type === fate.type);
}

function isFailure(fate: Fate | undefined): boolean {
  return fate?.kind === 'dead-letter' || fate?.kind === 'refused';
}

/** The types by name; of each first what becomes of its messages, then what most of them show. */
function byTypeAndWeight(a: ChangeGroup, b: ChangeGroup): number {
  const types = (a.type ?? '').localeCompare(b.type ?? '', 'en');
  if (types !== 0) return types;
  const kinds = Number(b.what === 'becomes') - Number(a.what === 'becomes');
  if (kinds !== 0) return kinds;
  return b.records - a.records || a.what.localeCompare(b.what, 'en');
}

function shortened(text: string): string {
  return text.length > EXAMPLE_CHARACTERS ? `${text.slice(0, EXAMPLE_CHARACTERS)}…`.toWellFormed() : text;
}
