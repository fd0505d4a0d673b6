import type { CommandSettings } from '../core/device-sessions.ts';
import type { KeyFault } from '../core/fault.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { parseTopicPattern } from '../core/topic-pattern.ts';
import type { ConfigDocument } from './schema.ts';

export interface CommandsConfig extends CommandSettings {
  /** Where devices' answers come from and go to; undefined: nobody waits for any. */
  readonly reply: { readonly mqttTopic: string; readonly topic: string } | undefined;
}

export function toCommands(document: ConfigDocument['commands']): CommandsConfig[] {
  return document.map((one) => ({
    topic: one.topic,
    group: one.group ?? `sluice-commands-${one.topic}`,
    deviceHeader: one.device === 'header' ? one['device.header'] : undefined,
    mqttTopic: one['mqtt.topic'],
    clientId: one['client.id'],
    correlationHeader: one['correlation.header'],
    expiryMs: one['expiry.ms'],
    expiryHeader: one['expiry.header'],
    undeliveredTopic: one['undelivered.topic'] ?? `${one.topic}.undelivered`,
    ackTimeoutMs: one['ack.timeout.ms'],
    maxInFlight: one['max.in.flight'],
    maxInFlightPerDevice: one['max.in.flight.per.device'],
    maxInFlightBytes: one['max.in.flight.bytes'],
    reply: one.reply && { mqttTopic: one.reply['mqtt.topic'], topic: one.reply.topic },
  }));
}

/** The Kafka topics that commands come from, and those that take what was not delivered. */
export function commandTopics(commands: readonly CommandsConfig[]): string[] {
  return commands.flatMap(({ topic, undeliveredTopic }) => [topic, undeliveredTopic]);
}

/** What no single key of a command topic can know. */
export function commandFaults(commands: readonly CommandsConfig[]): KeyFault[] {
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

/**
 * Replies of devices are messages like any other: each command topic that has a reply topic adds a device profile,
 * which takes payloads as they are, with contract `kafka`.
 */
export function replyProfiles(commands: readonly CommandsConfig[], file: string): DeviceProfile[] {
  return commands.flatMap(({ topic, reply, correlationHeader }) => {
    const parsed = reply && parseTopicPattern(reply.mqttTopic);
    if (reply === undefined || parsed === undefined || 'problem' in parsed) return [];
    const { names } = parsed.pattern;
    if (!names.includes('device')) return [];
    const correlation = names.includes('correlation') && {
      levelHeaders: new Map([[correlationHeader, '{correlation}']]),
    };
    const profile: DeviceProfile = {
      file,
      type: replyType(topic),
      topic: reply.mqttTopic,
      decode: { kind: 'raw' },
      device: { template: '{device}' },
      attributes: new Map(),
      metrics: new Map(),
      produce: {
        topic: reply.topic,
        value: 'raw',
        headers: ['topic', 'client.id', 'received.at'],
        ...correlation,
      },
      ack: 'kafka',
    };
    return [profile];
  });
}

/** The device type under which replies to commands of a topic are counted. */
const replyType = (topic: string): string => `replies to ${topic}`;

/** The key of sluice.yaml that a reply profile stands for; undefined for any other profile. */
export function replyKey(
  commands: readonly CommandsConfig[],
  profile: DeviceProfile,
): readonly (string | number)[] | undefined {
  const index = commands.findIndex(({ topic }) => replyType(topic) === profile.type);
  return index < 0 ? undefined : ['commands', index, 'reply', 'mqtt.topic'];
}
