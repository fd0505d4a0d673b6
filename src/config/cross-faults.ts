import { LISTENER_TYPES } from '../core/listener.ts';
import { keyFault, type KeyFault } from '../core/fault.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { parseTopicPattern } from '../core/topic-pattern.ts';
import type { CommandsConfig } from './commands.ts';
import type { SluiceConfig } from './config.ts';
import { isPrefix, type KeyPath } from './key.ts';
import type { ConfigDocument } from './schema.ts';

/* What no single key can know: keys that contradict each other. */

/**
 * The faults between the keys of sluice.yaml.
 * @param faulty keys with a fault of their own, which hold a default that nobody meant
 */
export function configFaults(
  document: ConfigDocument,
  config: SluiceConfig,
  faulty: readonly KeyPath[],
): KeyFault[] {
  const inLists = [...listenerFaults(document.mqtt.listeners), ...commandFaults(config.commands)];
  return [
    ...sizeFaults(config),
    ...inLists.filter(({ path }) => !faulty.some((known) => isPrefix(path, known))),
    ...(faulty.some(([first]) => first === 'journal') ? [] : journalFaults(document.journal)),
  ];
}

function* sizeFaults({ mqtt, audit }: SluiceConfig): Generator<KeyFault> {
  if (mqtt.memoryLimitBytes < mqtt.maxPacketBytes) {
    const expected = `at least max.packet.bytes (${mqtt.maxPacketBytes})`;
    yield keyFault(['mqtt', 'memory.limit.bytes'], String(mqtt.memoryLimitBytes), expected);
  }
  if (audit !== undefined && audit.maxBytes < 2 * audit.segmentBytes) {
    const expected = `at least twice segment.bytes (${audit.segmentBytes})`;
    yield keyFault(['audit', 'max.bytes'], String(audit.maxBytes), expected);
  }
}

type Listener = ConfigDocument['mqtt']['listeners'][number];

/** Which keys go with a listener's type. */
function listenerFaults(listeners: readonly Listener[]): KeyFault[] {
  return listeners.flatMap((listener, index) =>
    faultsOfListener(listener).map(([key, found, expected]) =>
      keyFault(['mqtt', 'listeners', index, key], found, expected),
    ),
  );
}

function faultsOfListener({ type, host, port, path, tls }: Listener) {
  const faults: [key: string, found: string, expected: string][] = [];
  const stray = (key: string, value: unknown, of: string): void => {
    if (value === undefined) return;
    const found = typeof value === 'object' ? 'a map' : JSON.stringify(value);
    faults.push([key, found, `nothing here: a listener of type ${type} has none, ${of}`]);
  };
  const { isTls, path: pathOf } = LISTENER_TYPES[type];
  if (!isTls) stray('tls', tls, 'those of type tls and wss have');
  if (isTls && tls === undefined) {
    const expected = `tls: { cert: server.pem, key: server.key }, which a listener of type ${type} must have`;
    faults.push(['tls', 'nothing', expected]);
  }
  if (type === 'unix') {
    stray('host', host, 'its path says where it is');
    stray('port', port, 'its path says where it is');
    if (path === undefined) faults.push(['path', 'nothing', 'path: the file of the unix domain socket']);
  }
  if (pathOf === undefined) stray('path', path, 'those of type ws, wss and unix have');
  if (pathOf === 'url' && path !== undefined && !path.startsWith('/')) {
    faults.push(['path', JSON.stringify(path), 'a path that begins with /']);
  }
  return faults;
}

function* journalFaults(document: ConfigDocument['journal']): Generator<KeyFault> {
  const { directories, 'max.bytes': maxBytes, 'segment.bytes': segmentBytes } = document;
  if (maxBytes < 4 * segmentBytes) {
    const expected = `at least four times segment.bytes (${segmentBytes})`;
    yield keyFault(['journal', 'max.bytes'], String(maxBytes), expected);
  }
  if (new Set(directories).size !== directories.length) {
    yield keyFault(['journal', 'directories'], 'a list', 'folders that differ');
  }
  if (document['key.file'] !== undefined && document['key.env'] !== undefined) {
    const expected = 'nothing: key.file says already where the key is';
    yield keyFault(['journal', 'key.env'], JSON.stringify(document['key.env']), expected);
  }
}

function commandFaults(commands: readonly CommandsConfig[]): KeyFault[] {
  return commands.flatMap(({ topic, undeliveredTopic, reply }, index) => {
    const faults: KeyFault[] = [];
    const refuse = (key: readonly string[], found: string, expected: string): void => {
      faults.push(keyFault(['commands', index, ...key], JSON.stringify(found), expected));
    };
    if (commands.findIndex((other) => other.topic === topic) < index) {
      refuse(['topic'], topic, 'each command topic once');
    }
    if (commands.some((other) => other.topic === undeliveredTopic)) {
      refuse(['undelivered.topic'], undeliveredTopic, 'a topic that is not read for commands');
    }
    if (reply === undefined) return faults;
    if (commands.some((other) => other.topic === reply.topic)) {
      refuse(['reply', 'topic'], reply.topic, 'a topic that is not read for commands');
    }
    const parsed = parseTopicPattern(reply.mqttTopic);
    if ('problem' in parsed) refuse(['reply', 'mqtt.topic'], reply.mqttTopic, parsed.problem.expected);
    else if (!parsed.pattern.names.includes('device')) {
      refuse(['reply', 'mqtt.topic'], reply.mqttTopic, 'a pattern with the level {device}');
    }
    return faults;
  });
}

/** The faults between the keys of a profile, and with profiles that were read before it. */
export function* profileFaults(
  profile: DeviceProfile,
  others: readonly DeviceProfile[],
): Generator<KeyFault> {
  const namesake = others.find(({ type }) => type === profile.type);
  if (namesake !== undefined) {
    const expected = `a type of its own: ${namesake.file} has this one`;
    yield keyFault(['type'], JSON.stringify(profile.type), expected);
  }
  if (profile.whenFull !== undefined && !profile.ack.needsJournal) {
    const expected = `nothing: ack: ${profile.ack.name} makes no use of the journal`;
    yield keyFault(['journal', 'when.full'], JSON.stringify(profile.whenFull), expected);
  }
  const pattern = parseTopicPattern(profile.topic);
  // A topic that is no pattern is the routes' fault to find.
  const names = 'pattern' in pattern ? pattern.pattern.names : undefined;
  for (const name of profile.simulate?.levels.keys() ?? []) {
    if (names === undefined || names.includes(name)) continue;
    const expected = `a named level of ${profile.topic}`;
    yield keyFault(['simulate', 'levels', name], JSON.stringify(name), expected);
  }
}
