import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { Metric } from '../core/metric.ts';

/**
 * A registry that shows the stages' metrics in Prometheus' text format, together with the process's own (CPU,
 * memory, event loop, garbage collection). Figures are read at each scrape, and at no other time.
 */
export function prometheusRegistry(metrics: readonly Metric[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const metric of metrics) {
    const { kind, name, help, labelNames = [] } = metric;
    const Kind = kind === 'counter' ? Counter : Gauge;
    const figure: Counter | Gauge = new Kind({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        // The stage holds the running total, so a scrape replaces what the last one showed.
        figure.reset();
        const value = metric.read();
        const samples = typeof value === 'number' ? [{ labels: {}, value }] : value;
        for (const sample of samples) figure.inc(sample.labels, sample.value);
      },
    });
  }
  return registry;
}
