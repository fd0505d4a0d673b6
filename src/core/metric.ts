/** One value of a metric, with the labels that tell it from the others. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * A figure that a stage offers to operators. The stage counts in plain numbers, and `read` is called only when the
 * figure is looked at. Names follow Prometheus: base units, `_total` for counters.
 */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  /** The names of the labels that samples carry; left out, there are none. */
  readonly labelNames?: readonly string[];
  read(): number | readonly MetricSample[];
}

/** A metric without labels. */
export function metric(kind: Metric['kind'], name: string, help: string, read: () => number): Metric {
  return { name, help, kind, read };
}
