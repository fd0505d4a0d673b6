import { resolve } from 'node:path';
import type { KeyFault } from '../core/fault.ts';
import type { ConfigDocument } from './schema.ts';

type ListenerDocument = ConfigDocument['mqtt']['listeners'][number];

/** A place where devices connect. */
export type ListenerConfig =
  | {
      readonly type: 'tcp' | 'tls' | 'ws' | 'wss';
      readonly host: string;
      /** 0 lets the system choose. */
      readonly port: number;
      /** Absolute paths; of tls and wss. */
      readonly tls: ListenerTls | undefined;
      /** Of ws and wss: the URL's path; undefined: any. */
      readonly path: string | undefined;
      readonly proxyProtocol: boolean;
    }
  | {
      readonly type: 'unix';
      readonly host?: undefined;
      readonly port?: undefined;
      /** Absolute. */
      readonly path: string;
      readonly proxyProtocol: boolean;
    };

export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
  /** Clients must have a certificate of one of these authorities; undefined: they need none. */
  readonly clientCa: string | undefined;
}

/** The ports that clients try when they are told none; WebSocket has none for MQTT, these are the usual ones. */
const DEFAULT_PORTS = { tcp: 1883, tls: 8883, ws: 8083, wss: 8084 } as const;

/** What a listener of sluice.yaml means. Certificates are looked for beside the file, sockets where data are. */
export function toListener(
  listener: ListenerDocument,
  folders: { readonly config: string; readonly data: string },
): ListenerConfig {
  const { type, host = '127.0.0.1', port, path, tls } = listener;
  const proxyProtocol = listener['proxy.protocol'];
  if (type === 'unix') return { type, path: resolve(folders.data, path ?? 'sluice.sock'), proxyProtocol };
  return {
    type,
    host,
    port: port ?? DEFAULT_PORTS[type],
    path: type === 'ws' || type === 'wss' ? path : undefined,
    tls:
      tls === undefined
        ? undefined
        : {
            cert: resolve(folders.config, tls.cert),
            key: resolve(folders.config, tls.key),
            clientCa: tls['client.ca'] === undefined ? undefined : resolve(folders.config, tls['client.ca']),
          },
    proxyProtocol,
  };
}

/** What no single key of a listener can know: which keys go with its type. */
export function listenerFaults(listeners: readonly ListenerDocument[]): KeyFault[] {
  return listeners.flatMap((listener, index) =>
    faultsOf(listener).map((fault) => ({ ...fault, path: ['mqtt', 'listeners', index, ...fault.path] })),
  );
}

function faultsOf({ type, host, port, path, tls }: ListenerDocument): KeyFault[] {
  const faults: KeyFault[] = [];
  const stray = (key: string, value: unknown, of: string): void => {
    if (value === undefined) return;
    const found = typeof value === 'object' ? 'a map' : JSON.stringify(value);
    faults.push({ path: [key], found, expected: `nothing here: a listener of type ${type} has none, ${of}` });
  };
  const isTls = type === 'tls' || type === 'wss';
  if (!isTls) stray('tls', tls, 'those of type tls and wss have');
  if (isTls && tls === undefined) {
    faults.push({
      path: ['tls'],
      found: 'nothing',
      expected: `tls: { cert: server.pem, key: server.key }, which a listener of type ${type} must have`,
    });
  }
  if (type === 'unix') {
    stray('host', host, 'its path says where it is');
    stray('port', port, 'its path says where it is');
    if (path === undefined) {
      faults.push({ path: ['path'], found: 'nothing', expected: 'path: the file of the unix domain socket' });
    }
  }
  if (type === 'tcp' || type === 'tls') stray('path', path, 'those of type ws, wss and unix have');
  if ((type === 'ws' || type === 'wss') && path !== undefined && !path.startsWith('/')) {
    faults.push({ path: ['path'], found: JSON.stringify(path), expected: 'a path that begins with /' });
  }
  return faults;
}
