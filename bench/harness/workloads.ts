import type { PhaseLength } from '../load/load.ts';

/** What is asked of every contestant alike. */
export interface Workload {
  readonly name: string;
  /** One sentence for the page. */
  readonly about: string;
  readonly payload: Payload;
  readonly devices: number;
  readonly qos: 0 | 1;
  /** QoS 1: most messages of a device in flight; QoS 0: messages a write. */
  readonly window: number;
  /** Messages a second; 0: as fast as the windows allow. */
  readonly rate: number;
  /** What is measured: a backlog of so many messages, or what a stretch of time makes of it. */
  readonly length: PhaseLength;
  /** Before that, so that a run does not measure how a runtime translates its code. */
  readonly warmupSeconds: number;
  /** Messages a second of the warm-up, where `rate` is too low for one; left out, as `rate`. */
  readonly warmupRate?: number;
  readonly partitions: number;
  /** linger.ms and batch.size of every contestant that knows them. */
  readonly lingerMs: number;
  readonly batchSizeBytes: number;
  /** Device profiles that share the devices. */
  readonly routes: number;
  /** Devices connect by TLS. */
  readonly tls: boolean;
  /** Kafka is reached over a link like this. */
  readonly link?: Link;
  /** Kafka hangs for so long, in the middle of a paced load. */
  readonly outageMs?: number;
}

/** A link as an edge gateway has it. */
export interface Link {
  readonly roundTripMs: number;
  /** In each direction; 10^6 bits a second. */
  readonly megabitsPerSecond: number;
}

/**
 * env-sensor: 32 bytes of protobuf, as `sluice fleet` sends it. field-sensor: 100 bytes of protobuf.
 * data-logger: 1 KiB of protobuf, 100 doubles.
 */
export type Payload = 'env-sensor' | 'field-sensor' | 'data-logger';
export const PAYLOADS: readonly Payload[] = ['env-sensor', 'field-sensor', 'data-logger'];

/** The part of a workload that options can change. */
export type WorkloadOptions = Partial<Omit<Workload, 'name' | 'about'>>;

const COMMON = {
  payload: 'field-sensor',
  qos: 1,
  partitions: 8,
  // As the shipped sluice.yaml has them.
  lingerMs: 25,
  batchSizeBytes: 131_072,
  routes: 1,
  tls: false,
  length: { seconds: 6 },
  warmupSeconds: 6,
} satisfies WorkloadOptions;

const SATURATION = { ...COMMON, devices: 100, window: 100, rate: 0 };
const FLEET = { ...COMMON, devices: 1_000, window: 20, rate: 20_000 };
const EDGE: Link = { roundTripMs: 100, megabitsPerSecond: 20 };

export const WORKLOADS: readonly Workload[] = [
  {
    ...SATURATION,
    name: 'saturation',
    about: 'What a core can carry: every device keeps its window full.',
  },
  {
    ...SATURATION,
    name: 'saturation-qos0',
    about: 'The same without acknowledgements: every device writes as fast as its socket takes it.',
    qos: 0,
  },
  {
    ...FLEET,
    name: 'fleet',
    about: 'A real fleet: each device sends a message now and then, and each costs a read and a write.',
  },
  {
    ...FLEET,
    name: 'fleet-10k',
    about: 'The same rate from ten times as many devices.',
    devices: 10_000,
  },
  {
    ...FLEET,
    name: 'fleet-tls',
    about: 'The real fleet over TLS 1.3.',
    tls: true,
  },
  {
    ...SATURATION,
    name: 'large',
    about: 'Payloads of 1 KiB; every device keeps its window full.',
    payload: 'data-logger',
  },
  {
    ...SATURATION,
    name: 'large-qos0',
    about: 'The same without acknowledgements.',
    payload: 'data-logger',
    qos: 0,
  },
  {
    ...COMMON,
    name: 'burst',
    about:
      'A fleet that was cut off comes back: every device sends the 100 messages that it has kept, at once.',
    devices: 1_000,
    window: 100,
    rate: 0,
    length: { messages: 100_000 },
  },
  {
    ...FLEET,
    name: 'outage',
    about: 'Kafka hangs for 5 s under a paced load, and everything that waited goes at once.',
    window: 100,
    rate: 5_000,
    length: { seconds: 15 },
    outageMs: 5_000,
  },
  {
    ...FLEET,
    name: 'edge-link',
    about: 'The real fleet on a gateway whose way to Kafka is a thin and long one.',
    link: EDGE,
  },
  {
    ...COMMON,
    name: 'edge-drain',
    about: 'Over the same link, what 1,000 devices kept while it was down: all at once, as fast as it goes.',
    devices: 1_000,
    window: 100,
    rate: 0,
    length: { messages: 300_000 },
    link: EDGE,
  },
];

/** The workloads of these names (all, when none is given), changed as the options say. */
export function chosenWorkloads(
  names: readonly string[] | undefined,
  changes: WorkloadOptions,
  scale = 1,
): Workload[] {
  const chosen = (names ?? WORKLOADS.map(({ name }) => name)).map((name) => {
    const workload = WORKLOADS.find((each) => each.name === name);
    if (workload === undefined) {
      throw new Error(`no workload ${name}; there are ${WORKLOADS.map((each) => each.name).join(', ')}`);
    }
    return workload;
  });
  return chosen.map((workload) => ({ ...scaled(workload, scale), ...changes }));
}

/** A shorter workload of the same kind. */
function scaled(workload: Workload, scale: number): Workload {
  // Kafka's hanging takes its time, and there must be load before and behind it.
  if (scale === 1 || workload.outageMs !== undefined) return workload;
  const { length, warmupSeconds } = workload;
  return {
    ...workload,
    length:
      'seconds' in length
        ? { seconds: length.seconds * scale }
        : { messages: Math.max(1_000, Math.round(length.messages * scale)) },
    warmupSeconds: warmupSeconds * scale,
  };
}

/** The workload in one line. */
export function describeWorkload(workload: Workload): string {
  const { devices, qos, window, rate, length, payload, routes, link, outageMs, tls } = workload;
  const pace = rate === 0 ? `${window} in flight each` : `${count(rate)} messages/s in all`;
  return [
    `${count(devices)} devices`,
    `QoS ${qos}`,
    payload,
    pace,
    'seconds' in length ? `${length.seconds} s` : `${count(length.messages)} messages`,
    `${workload.partitions} partitions`,
    `linger.ms ${workload.lingerMs}`,
    `batch.size ${count(workload.batchSizeBytes)}`,
    ...(routes > 1 ? [`${count(routes)} routes`] : []),
    ...(tls ? ['TLS'] : []),
    ...(link === undefined ? [] : [`Kafka ${link.roundTripMs} ms and ${link.megabitsPerSecond} Mbit/s away`]),
    ...(outageMs === undefined ? [] : [`Kafka hangs for ${outageMs / 1000} s`]),
  ].join(', ');
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
