import { CONTRACTS } from '../core/contract.ts';
import type { CommandSettings } from '../core/device-sessions.ts';
import type { DeviceProfile } from '../core/profile/profile.ts';
import { parseTopicPattern } from '../core/topic-pattern.ts';
import type { InProgramTerms, KeyPath } from './key.ts';
import type { ConfigDocument } from './schema.ts';

export interface CommandsConfig extends CommandSettings {
  /** Where devices' answers come from and go to; undefined: nobody waits for any. */
  readonly reply?: { readonly mqttTopic: string; readonly topic: string } | undefined;
}

export function toCommands(topics: InProgramTerms<ConfigDocument['commands']>): CommandsConfig[] {
  return topics.map(({ device, deviceHeader, ...one }) => ({
    group: `sluice-commands-${one.topic}`,
    undeliveredTopic: `${one.topic}.undelivered`,
    ...one,
    deviceHeader: device === 'header' ? deviceHeader : undefined,
  }));
}

/** The Kafka topics that commands come from, and those that take what was not delivered. */
export function commandTopics(commands: readonly CommandsConfig[]): string[] {
  return commands.flatMap(({ topic, undeliveredTopic }) => [topic, undeliveredTopic]);
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
    const levelHeaders = new Map([[correlationHeader, '{correlation}']]);
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
        ...(names.includes('correlation') && { levelHeaders }),
      },
      ack: CONTRACTS.kafka,
    };
    return [profile];
  });
}

/** The device type under which replies to commands of a topic are counted. */
const replyType = (topic: string): string => `replies to ${topic}`;

/** The key of sluice.yaml that a reply profile stands for; undefined for any other profile. */
export function replyKey(commands: readonly CommandsConfig[], profile: DeviceProfile): KeyPath | undefined {
  const index = commands.findIndex(({ topic }) => replyType(topic) === profile.type);
  return index < 0 ? undefined : ['commands', index, 'reply', 'mqtt.topic'];
}
