import type { Condition } from '../core/readiness.ts';
import type { SluiceConfig } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { errorMessage } from '../core/errors.ts';
import { keyFault, type ConfigFault } from '../core/fault.ts';
import type { Ingress } from '../mqtt/ingress.ts';
import { DEFAULT_LIMITS } from '../mqtt/limits.ts';
import { listenerName, type ListenerSpec } from '../mqtt/edge/listener-spec.ts';
import { NodeLogDirectory } from '../durable-log/log-directory.ts';
import { readTlsFiles } from '../mqtt/edge/tls-credentials.ts';

/** The configuration of the MQTT edge, in the edge's own terms. */
export function mqttEdgeOptions(mqtt: SluiceConfig['mqtt'], version: string) {
  const { listeners, sessions, sysIntervalMs, ...limits } = mqtt;
  return {
    listeners,
    sys: sysIntervalMs === 0 ? undefined : { version, intervalMs: sysIntervalMs },
    sessions: sessions.directory === undefined ? undefined : new NodeLogDirectory(sessions.directory),
    limits: {
      ...DEFAULT_LIMITS,
      ...limits,
      maxKeptSessions: sessions.max,
      maxSubscriptions: sessions.subscriptions,
      maxFilterLevels: sessions.filterLevels,
      maxFilterLevelsTotal: sessions.filterLevelsTotal,
      sessionExpiryMs: sessions.expiryMs,
      maxQueuedMessages: sessions.queueMessages,
      maxQueuedBytes: sessions.queueBytes,
      maxQueuedBytesTotal: sessions.queueTotalBytes,
    },
  };
}

/** There only if sessions are kept on disk. */
export function sessionsCondition(storage: Ingress['storage']): Condition[] {
  if (storage === undefined) return [];
  const { fault } = storage;
  const ready = fault === undefined;
  const reason = ready
    ? 'sessions are kept on disk'
    : `sessions can't be written to disk, so subscriptions of persistent sessions and QoS 2 wait: ${fault}`;
  return [{ name: 'sessions', ready, reason }];
}

/**
 * The faults in certificates and keys of listeners. Look at them only on the machine that will open the listeners:
 * a configuration that is explained or planned on another machine need not have its private keys there.
 */
export function listenerTlsFaults(loaded: LoadedConfig): ConfigFault[] {
  return loaded.config.mqtt.listeners.flatMap((one, index) => {
    if (one.type === 'unix' || one.tls === undefined) return [];
    try {
      readTlsFiles(one.tls);
      return [];
    } catch (error) {
      const cause = error instanceof Error ? (error.cause ?? error) : error;
      const expected = 'a certificate and its private key, in PEM and without a password';
      const path = ['mqtt', 'listeners', index, 'tls'];
      return [loaded.locate(keyFault(path, errorMessage(cause), expected))];
    }
  });
}

/** A warning for each listener where any machine of the network may publish, because it asks for no certificate. */
export function openListeners(listeners: readonly ListenerSpec[]): string[] {
  return listeners
    .filter((one) => one.type !== 'unix' && !isLoopback(one.host) && one.tls?.clientCa === undefined)
    .map(
      (one) =>
        `${listenerName(one)} is open to the network without authentication: anyone who reaches it can publish as any device`,
    );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
