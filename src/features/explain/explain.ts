import type { CapturedMessage } from '../capture/captured-message.ts';
import type { DeviceProfile } from '../../core/profile/profile.ts';
import type { ContractName } from '../../core/contract.ts';
import type { Trace, TraceEntry } from '../../core/route.ts';
import { parseTopicPattern } from '../../core/topic-pattern.ts';
import { deadLetterTopicFor } from '../../core/profile/output-spec.ts';
import type { Telemetry } from '../../decode/envelope/envelope.ts';
import type { RankedMatch } from '../../route/route-table.ts';
import { whyNot } from '../../route/specificity.ts';
import type { CompiledProfile } from '../../decode/profile/profile-route.ts';
import type { Blueprint } from '../../assembly/blueprint.ts';
import { Rehearsal, telemetryOf, type Fate } from './rehearsal.ts';

/** A profile whose topic pattern matches, and what it says before a payload is looked at. */
export interface RouteExplanation {
  readonly type: string;
  readonly file: string;
  readonly pattern: string;
  /** The pattern's named levels, with what stands there. */
  readonly levels: Readonly<Record<string, string>>;
  /** Why it comes behind the one before it. */
  readonly because: string | undefined;
  /** The pattern that keeps it from getting the message. */
  readonly stoppedBy: string | undefined;
  readonly contract: ContractName;
  /** The Kafka topic, or its template. */
  readonly destination: string;
  readonly deadLetterTopic: string;
  readonly key: string | null;
  /** What was taken off the payload, and which message it is. */
  readonly notes: readonly string[];
  /** All of the payload as its decoder reads it; undefined: not asked for, or it can't be read. */
  readonly decoded: unknown;
  readonly fates: readonly FateExplanation[];
}

export interface FateExplanation extends Omit<Fate, 'device'> {
  readonly rules: readonly TraceEntry[];
  /** What a consumer reads, where the value is an envelope. */
  readonly telemetry: Telemetry | undefined;
}

export interface Explanation {
  readonly topic: string;
  readonly message: CapturedMessage | undefined;
  readonly routes: readonly RouteExplanation[];
  /** Where no profile matches: why each of them doesn't. */
  readonly others: readonly { readonly type: string; readonly pattern: string; readonly because: string }[];
  /** Where no profile matches: what `unrouted` makes of it. */
  readonly unrouted: { readonly policy: string; readonly fate: FateExplanation | undefined } | undefined;
}

/** Takes down what rules do, a chapter for each record or what stands in its place. */
class RuleBook implements Trace {
  #chapters: TraceEntry[][] = [];

  note(entry: TraceEntry): void {
    this.#chapters.at(-1)?.push(entry);
  }

  readonly begin = (): void => {
    this.#chapters.push([]);
  };

  /** The chapters since it was asked last. */
  take(): readonly (readonly TraceEntry[])[] {
    const chapters = this.#chapters;
    this.#chapters = [];
    return chapters;
  }
}

/** Explains messages by performing them: with routes that tell what they do, and the gateway's delivery. */
export class Explainer {
  readonly #rehearsal: Rehearsal;
  readonly #rules = new RuleBook();

  /**
   * Of a configuration file.
   * @throws SluiceError CONFIG_INVALID
   */
  constructor(file: string | undefined, environment: NodeJS.ProcessEnv) {
    this.#rehearsal = new Rehearsal(file, environment, this.#rules);
  }

  get blueprint(): Blueprint {
    return this.#rehearsal.blueprint;
  }

  /** Performs a message that nobody asks about, for what the gateway then remembers. */
  skip(message: CapturedMessage): void {
    this.#rehearsal.perform(message);
    this.#rules.take();
  }

  /** What is known of a topic without a message. */
  topic(name: string): Explanation {
    return this.#explanation(name, undefined);
  }

  message(message: CapturedMessage): Explanation {
    return this.#explanation(message.topic, message);
  }

  #explanation(topic: string, message: CapturedMessage | undefined): Explanation {
    const { routes: table, config, profiles } = this.blueprint;
    const ranked = table.rank(topic);
    // Before it is performed: reading it needs what was remembered before it.
    const inspected = new Map(
      this.#rehearsal
        .routes(topic)
        .map((route) => [route.profile, message && route.inspect(message.payload)] as const),
    );
    const fates = message === undefined ? [] : this.#fates(message);
    const routes = ranked.map((match) => {
      const seen = inspected.get(match.target.profile.type);
      return {
        ...routeOf(match),
        notes: seen === undefined ? [] : 'code' in seen ? [`${seen.code}: ${seen.message}`] : seen.notes,
        decoded: seen !== undefined && 'tree' in seen ? seen.tree : undefined,
        fates: fates.filter(({ type }) => type === match.target.profile.type),
      };
    });
    const none = ranked.length === 0;
    return {
      topic,
      message,
      routes,
      others: none ? profiles.map((profile) => otherOf(profile, topic)) : [],
      unrouted: none ? { policy: config.unrouted.policy, fate: fates[0] } : undefined,
    };
  }

  #fates(message: CapturedMessage): FateExplanation[] {
    this.#rules.take();
    const fates = this.#rehearsal.perform(message);
    const chapters = this.#rules.take();
    return fates.map((fate, index) => {
      const profile = this.blueprint.profiles.find(({ type }) => type === fate.type);
      const noted = chapters[index] ?? [];
      const rules = profile === undefined ? [] : [...this.#boundRules(profile, fate, noted), ...noted];
      const { kind, type, reading, record, reason } = fate;
      const telemetry = profile && record && kind === 'record' ? telemetryOf(record, profile) : undefined;
      return { kind, type, reading, record, reason, rules: inOrder(rules), telemetry };
    });
  }

  /** What was found for the device before its message was normalised. */
  #boundRules(profile: DeviceProfile, fate: Fate, noted: readonly TraceEntry[]): TraceEntry[] {
    const { registry, produce, device: where } = profile;
    if (fate.kind === 'refused' && registry !== undefined) {
      return [{ rule: 'registry', says: 'the device is not listed, and `unknown` is refuse' }];
    }
    const { device } = fate;
    // Nothing is noted where it could not be read: the device is then the one before.
    if (device === undefined || noted.length === 0) return [];
    const source = 'template' in where ? where.template : `field ${where.field}`;
    const rules: TraceEntry[] = [{ rule: 'device', says: `${source} -> ${device.id}` }];
    if (registry !== undefined) {
      const { devices } = this.blueprint.services.registries.open(registry);
      const row = devices.find(device.id);
      const cells = [...registry.attributes].map(([name, column]) => `${name} = ${row?.get(column) ?? ''}`);
      const says =
        row === undefined
          ? `${device.id} is not listed: ${device.quarantined ? `quarantine in ${device.topic}` : 'accepted'}`
          : `${device.id} is listed${cells.length > 0 ? `: ${cells.join(', ')}` : ''}`;
      rules.push({ rule: 'registry', says });
    }
    if (!device.quarantined) rules.push({ rule: 'produce.topic', says: arrow(produce.topic, device.topic) });
    const key = device.key === null ? 'none' : Buffer.from(device.key).toString('utf8');
    rules.push({ rule: 'produce.key', says: arrow(keyTemplate(produce.key) ?? 'none', key) });
    if (produce.subject !== undefined) {
      const says = `${produce.subject}: framed with the id that the Schema Registry gives (0 stands for it here)`;
      rules.push({ rule: 'produce.subject', says });
    }
    return rules;
  }
}

function arrow(template: string, text: string): string {
  return template === text ? text : `${template} -> ${text}`;
}

function keyTemplate(key: string | null | undefined): string | null {
  return key === undefined ? '{device}' : key;
}

/** The order in which a profile's keys have their say. */
const ORDER = ['device', 'registry', 'time', 'sequence', 'metrics', 'filter', 'produce'];

function inOrder(rules: readonly TraceEntry[]): TraceEntry[] {
  const place = ({ rule }: TraceEntry): number => ORDER.indexOf(rule.split('.')[0] ?? '');
  return rules.toSorted((a, b) => place(a) - place(b));
}

function routeOf(match: RankedMatch<CompiledProfile>): Omit<RouteExplanation, 'notes' | 'decoded' | 'fates'> {
  const { type, file, ack, produce } = match.target.profile;
  return {
    type,
    file,
    pattern: match.pattern,
    levels: Object.fromEntries(match.captures),
    because: match.because,
    stoppedBy: match.stoppedBy,
    contract: ack.name,
    destination: produce.topic,
    deadLetterTopic: deadLetterTopicFor(produce, type),
    key: keyTemplate(produce.key),
  };
}

function otherOf({ type, topic: pattern }: DeviceProfile, topic: string): Explanation['others'][number] {
  const parsed = parseTopicPattern(pattern);
  const because = 'pattern' in parsed ? whyNot(parsed.pattern, topic) : undefined;
  return { type, pattern, because: because ?? '' };
}

/** Every Kafka topic that an explanation's records go to. */
export function topicsOf({ routes, unrouted }: Explanation): string[] {
  const fates = [...routes.flatMap((route) => route.fates), unrouted?.fate];
  return [...new Set(fates.map((fate) => fate?.record?.topic).filter((topic) => topic !== undefined))];
}
