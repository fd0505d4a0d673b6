import type { SluiceConfig } from '../config/config.ts';
import { DEFAULT_LIMITS, type IngressLimits } from '../mqtt/limits.ts';
import { listenerName, type ListenerSpec } from '../mqtt/listener-spec.ts';

/** The bounds of the ingress: what the configuration says, and the defaults of what it doesn't. */
export function ingressLimits(mqtt: SluiceConfig['mqtt']): IngressLimits {
  return {
    ...DEFAULT_LIMITS,
    inflightQuota: mqtt.inflightQuota,
    readAheadBytes: mqtt.readAheadBytes,
    memoryLimitBytes: mqtt.memoryLimitBytes,
    maxPacketBytes: mqtt.maxPacketBytes,
    connectTimeoutMs: mqtt.connectTimeoutMs,
    maxConnections: mqtt.maxConnections,
  };
}

/** A warning for each listener at which any machine of the network may publish: without a certificate, that is. */
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
