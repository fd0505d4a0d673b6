import { isIP } from 'node:net';
import { LISTENER_TYPES, type PortListenerType } from '../../core/listener.ts';
import type { TlsFiles } from './tls-credentials.ts';

/** Where devices connect, and what carries their MQTT. */
export type ListenerSpec = PortSpec | UnixSpec;

/** A TCP port. */
export interface PortSpec {
  readonly type: PortListenerType;
  /** An address or a host name; `0.0.0.0` is all of IPv4, `::` all of both. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Of tls and wss. */
  readonly tls?: TlsFiles | undefined;
  /** Of ws and wss: the only path of the URL; left out, any. */
  readonly path?: string | undefined;
  /** Whether each connection begins with a PROXY protocol header, version 1 or 2; one without is closed. */
  readonly proxyProtocol?: boolean | undefined;
}

/** A unix domain socket. */
export interface UnixSpec {
  readonly type: 'unix';
  readonly host?: undefined;
  readonly port?: undefined;
  /** Of the socket's file. */
  readonly path: string;
  readonly proxyProtocol?: boolean | undefined;
}

/** Where a listener really is. */
export interface ListenerAddress {
  /** As it was given; its port is the real one. */
  readonly spec: ListenerSpec;
  readonly host: string;
  /** Of unix, 0. */
  readonly port: number;
  /** For programs on this machine, as MQTT clients write it. */
  readonly url: string;
}

/** A listener's URL, reachable from this machine. */
export function listenerUrl(spec: ListenerSpec): string {
  const { scheme, path: pathOf } = LISTENER_TYPES[spec.type];
  if (spec.type === 'unix') return `${scheme}://${spec.path}`;
  const path = pathOf === 'url' ? (spec.path ?? '/') : '';
  return `${scheme}://${urlHost(spec.host)}:${spec.port}${path === '/' ? '' : path}`;
}

/** A host as it stands in a URL, and reachable from this machine. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** The listener for clients that have no certificate and no load balancer: our own simulated devices. */
export function plainListener(listeners: readonly ListenerSpec[]): ListenerSpec | undefined {
  const plain = listeners.filter(({ type, proxyProtocol }) => {
    return type !== 'unix' && !LISTENER_TYPES[type].isTls && proxyProtocol !== true;
  });
  return plain.find(({ type }) => type === 'tcp') ?? plain[0];
}

/** A listener's name in messages. */
export function listenerName(spec: ListenerSpec): string {
  return spec.type === 'unix' ? spec.path : `${spec.host}:${spec.port}`;
}
