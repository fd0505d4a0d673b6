import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { Metric, MetricSample } from '../core/metric.ts';

/**
 * A registry that shows the stages' metrics in Prometheus' text format, together with the process's own
 * (CPU, memory, event loop, garbage collection). Figures are read when somebody scrapes, not before.
 */
export function prometheusRegistry(metrics: readonly Metric[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const metric of metrics) {
    if (metric.kind === 'counter') registerCounter(registry, metric);
    else registerGauge(registry, metric);
  }
  return registry;
}

function registerCounter(registry: Registry, metric: Metric): void {
  new Counter({
    name: metric.name,
    help: metric.help,
    labelNames: labelNames(metric),
    registers: [registry],
    collect() {
      // The stage holds the running total, so a scrape replaces what the last one showed.
      this.reset();
      for (const { labels, value } of samples(metric)) this.inc(labels, value);
    },
  });
}

function registerGauge(registry: Registry, metric: Metric): void {
  new Gauge({
    name: metric.name,
    help: metric.help,
    labelNames: labelNames(metric),
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, value } of samples(metric)) this.set(labels, value);
    },
  });
}

function samples(metric: Metric): readonly MetricSample[] {
  const value = metric.read();
  return typeof value === 'number' ? [{ labels: {}, value }] : value;
}

function labelNames(metric: Metric): string[] {
  return [...(metric.labelNames ?? [])];
}
