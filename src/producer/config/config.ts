import { keyFault, nearest, type KeyFault } from '../../core/fault.ts';
import { SETTINGS, unsupported, type ProducerConfig } from './config-table.ts';

/** Values as a YAML file or the environment gives them, under Kafka's own names. */
export type RawProducerConfig = Readonly<Record<string, unknown>>;

/**
 * Reads a configuration under Kafka's own names. Never throws: whatever is wrong is a fault (`path` is the key),
 * and `config` then has the default in its place.
 */
export function parseProducerConfig(raw: RawProducerConfig): { config: ProducerConfig; faults: KeyFault[] } {
  const faults: KeyFault[] = [];
  const config: Record<string, unknown> = {};
  for (const [field, setting] of Object.entries(SETTINGS)) {
    const given = raw[setting.name];
    const parsed = given === undefined ? undefined : setting.type.parse(given);
    config[field] = parsed ?? setting.default;
    if (given !== undefined && parsed === undefined) {
      const found = setting.type.isSecret === true ? HIDDEN : show(given);
      faults.push(keyFault([setting.name], found, setting.type.expected));
    }
  }
  const names: readonly string[] = Object.values(SETTINGS).map(({ name }) => name);
  for (const name of Object.keys(raw)) {
    if (names.includes(name)) continue;
    faults.push(keyFault([name], showUnknown(name, raw[name]), unknownName(name, names)));
  }
  // Built from the table, which has a setting for every field of the type.
  const adjusted = adjust(config as unknown as ProducerConfig, raw);
  faults.push(...conflicts(adjusted, raw));
  return { config: adjusted, faults };
}

/**
 * As in Java, a default gives way to what was set: idempotence to settings that it can't go with, and
 * delivery.timeout.ms to longer lingers and request timeouts.
 */
function adjust(config: ProducerConfig, raw: RawProducerConfig): ProducerConfig {
  const enableIdempotence = config.acks === -1 && config.retries > 0;
  const deliveryTimeoutMs = Math.max(config.deliveryTimeoutMs, config.lingerMs + config.requestTimeoutMs);
  return {
    ...config,
    ...(raw['enable.idempotence'] === undefined && { enableIdempotence }),
    ...(raw['delivery.timeout.ms'] === undefined && { deliveryTimeoutMs }),
  };
}

/** The rules that hold between settings; those of idempotence are Java's (ProducerConfig.postProcessAndValidate). */
function* conflicts(config: ProducerConfig, raw: RawProducerConfig): Generator<KeyFault> {
  const conflict = (name: string, expected: string) => keyFault([name], show(raw[name]), expected);
  if (config.enableIdempotence) {
    const why = "because 'enable.idempotence' is true";
    if (config.acks !== -1) yield conflict('acks', `all, ${why}`);
    if (config.retries === 0) yield conflict('retries', `more than 0, ${why}`);
  }
  const { lingerMs, requestTimeoutMs, retryBackoffMs, reconnectBackoffMs, batchSizeBytes } = config;
  if (config.deliveryTimeoutMs < lingerMs + requestTimeoutMs) {
    const terms = `'linger.ms' (${lingerMs}) and 'request.timeout.ms' (${requestTimeoutMs})`;
    yield conflict('delivery.timeout.ms', `at least ${lingerMs + requestTimeoutMs}, the sum of ${terms}`);
  }
  if (config.retryBackoffMaxMs < retryBackoffMs) {
    yield conflict('retry.backoff.max.ms', `at least 'retry.backoff.ms' (${retryBackoffMs})`);
  }
  if (config.reconnectBackoffMaxMs < reconnectBackoffMs) {
    yield conflict('reconnect.backoff.max.ms', `at least 'reconnect.backoff.ms' (${reconnectBackoffMs})`);
  }
  if (config.bufferMemoryBytes < batchSizeBytes) {
    yield conflict('buffer.memory', `at least 'batch.size' (${batchSizeBytes})`);
  }
}

function unknownName(name: string, names: readonly string[]): string {
  const reason = unsupported(name);
  if (reason !== undefined) return `nothing: ${reason}`;
  const near = nearest(name, names);
  return near === undefined
    ? "the name of a producer setting (see Kafka's documentation, Producer Configs)"
    : `the name of a producer setting; did you mean '${near}'?`;
}

const HIDDEN = 'a value (hidden)';

/** What stands under a misspelt name may be a secret all the same. */
function showUnknown(name: string, value: unknown): string {
  return /^(ssl|sasl)|pass|secret|token|jaas/i.test(name) ? HIDDEN : show(value);
}

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
