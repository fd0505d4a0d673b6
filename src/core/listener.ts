/**
 * How a listener talks, a row a type. `scheme`: in its URL, as MQTT clients write it. `port`: the one that clients try
 * when they are told none; WebSocket has none for MQTT, these are the usual ones. `path`: the meaning of its path.
 */
export const LISTENER_TYPES = {
  tcp: { scheme: 'mqtt', port: 1883, isTls: false, path: undefined },
  tls: { scheme: 'mqtts', port: 8883, isTls: true, path: undefined },
  ws: { scheme: 'ws', port: 8083, isTls: false, path: 'url' },
  wss: { scheme: 'wss', port: 8084, isTls: true, path: 'url' },
  unix: { scheme: 'mqtt+unix', port: undefined, isTls: false, path: 'file' },
} as const;

export type ListenerType = keyof typeof LISTENER_TYPES;

/** Those that listen on a TCP port. */
export type PortListenerType = Exclude<ListenerType, 'unix'>;

export const LISTENER_TYPE_NAMES = Object.keys(LISTENER_TYPES) as [ListenerType, ...ListenerType[]];
