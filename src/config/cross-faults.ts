import type { KeyFault } from '../core/fault.ts';
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

function sizeFaults({ mqtt, audit }: SluiceConfig): KeyFault[] {
  const faults: KeyFault[] = [];
  if (mqtt.memoryLimitBytes < mqtt.maxPacketBytes) {
    faults.push({
      path: ['mqtt', 'memory.limit.bytes'],
      found: String(mqtt.memoryLimitBytes),
      expected: `at least max.packet.bytes (${mqtt.maxPacketBytes})`,
    });
  }
  if (audit !== undefined && audit.maxBytes < 2 * audit.segmentBytes) {
    faults.push({
      path: ['audit', 'max.bytes'],
      found: String(audit.maxBytes),
      expected: `at least twice segment.bytes (${audit.segmentBytes})`,
    });
  }
  return faults;
}

type Listener = ConfigDocument['mqtt']['listeners'][number];

/** Which keys go with a listener's type. */
function listenerFaults(listeners: readonly Listener[]): KeyFault[] {
  return listeners.flatMap((listener, index) =>
    faultsOfListener(listener).map((fault) => ({
      ...fault,
      path: ['mqtt', 'listeners', index, ...fault.path],
    })),
  );
}

function faultsOfListener({ type, host, port, path, tls }: Listener): KeyFault[] {
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

function journalFaults(document: ConfigDocument['journal']): KeyFault[] {
  const faults: KeyFault[] = [];
  const fault = (key: string, found: string, expected: string): void => {
    faults.push({ path: ['journal', key], found, expected });
  };
  const segment = document['segment.bytes'];
  if (document['max.bytes'] < 4 * segment) {
    fault('max.bytes', String(document['max.bytes']), `at least four times segment.bytes (${segment})`);
  }
  if (new Set(document.directories).size !== document.directories.length) {
    fault('directories', 'a list', 'folders that differ');
  }
  if (document['key.file'] !== undefined && document['key.env'] !== undefined) {
    fault('key.env', JSON.stringify(document['key.env']), 'nothing: key.file says already where the key is');
  }
  return faults;
}

function commandFaults(commands: readonly CommandsConfig[]): KeyFault[] {
  return commands.flatMap(({ topic, undeliveredTopic, reply }, index) => {
    const faults: KeyFault[] = [];
    const refuse = (key: readonly string[], found: string, expected: string): void => {
      faults.push({ path: ['commands', index, ...key], found: JSON.stringify(found), expected });
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
export function profileFaults(profile: DeviceProfile, others: readonly DeviceProfile[]): KeyFault[] {
  const faults: KeyFault[] = [];
  const namesake = others.find(({ type }) => type === profile.type);
  if (namesake !== undefined) {
    const expected = `a type of its own: ${namesake.file} has this one`;
    faults.push({ path: ['type'], found: JSON.stringify(profile.type), expected });
  }
  if (profile.whenFull !== undefined && !profile.ack.needsJournal) {
    const expected = `nothing: ack: ${profile.ack.name} makes no use of the journal`;
    faults.push({ path: ['journal', 'when.full'], found: JSON.stringify(profile.whenFull), expected });
  }
  const pattern = parseTopicPattern(profile.topic);
  // A topic that is no pattern is the routes' fault to find.
  const names = 'pattern' in pattern ? pattern.pattern.names : undefined;
  for (const name of profile.simulate?.levels.keys() ?? []) {
    if (names === undefined || names.includes(name)) continue;
    const expected = `a named level of ${profile.topic}`;
    faults.push({ path: ['simulate', 'levels', name], found: JSON.stringify(name), expected });
  }
  return faults;
}
