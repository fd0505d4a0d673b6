import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { drawBlueprint } from '../../src/assembly/blueprint.ts';
import { CONTRACTS } from '../../src/core/contract.ts';
import { ConfigFolder, PROFILE } from './files.ts';

let home: ConfigFolder;
beforeEach(() => {
  home = new ConfigFolder();
});
afterEach(() => {
  home.remove();
});

describe('commands', () => {
  it('a command topic has defaults for all but its topics', () => {
    const { config, faults } = home.load(`
commands:
  - { topic: device-commands, mqtt.topic: "devices/{device}/commands" }
`);
    expect(faults).toEqual([]);
    expect(config.commands).toEqual([
      {
        topic: 'device-commands',
        group: 'sluice-commands-device-commands',
        deviceHeader: undefined,
        mqttTopic: 'devices/{device}/commands',
        clientId: '{device}',
        correlationHeader: 'correlation-id',
        expiryMs: undefined,
        expiryHeader: 'expiry-ms',
        undeliveredTopic: 'device-commands.undelivered',
        ackTimeoutMs: 60_000,
        maxInFlight: 10_000,
        maxInFlightPerDevice: 1_000,
        maxInFlightBytes: 16_777_216,
        reply: undefined,
      },
    ]);
  });

  it('a command topic with replies adds its Kafka topics and a device profile for the replies', () => {
    const file = home.write(
      'sluice.yaml',
      `
commands:
  - topic: orders
    device: header
    device.header: to
    mqtt.topic: "{device}/in/{correlation}"
    client.id: "dev-{device}"
    expiry.ms: 5000
    undelivered.topic: failed
    reply: { mqtt.topic: "{device}/out/{correlation}", topic: answers }
`,
    );
    home.write('devices/sensor.yaml', PROFILE);
    const { faults, blueprint } = drawBlueprint(file, {});
    expect(faults).toEqual([]);
    expect(blueprint.config.commands).toMatchObject([
      { topic: 'orders', deviceHeader: 'to', clientId: 'dev-{device}', expiryMs: 5_000 },
    ]);
    expect(blueprint.kafkaTopics).toEqual(expect.arrayContaining(['answers', 'failed', 'orders']));
    expect(blueprint.routes.match('pump/out/7')).toHaveLength(1);
    expect(blueprint.profiles.find(({ type }) => type === 'replies to orders')).toMatchObject({
      ack: CONTRACTS.kafka,
      decode: { kind: 'raw' },
    });
  });

  it.each([
    ['{ topic: a, mqtt.topic: devices/commands }', 'commands[0].mqtt.topic', '{device}'],
    ['{ topic: a, mqtt.topic: "{device}/{site}" }', 'commands[0].mqtt.topic', '{device}'],
    ['{ topic: a, mqtt.topic: "{device}/#" }', 'commands[0].mqtt.topic', '{device}'],
    ['{ topic: a, mqtt.topic: "{device}", client.id: me }', 'commands[0].client.id', '{device}'],
    ['{ mqtt.topic: "{device}" }', 'commands[0].topic', 'Kafka topic name'],
    [
      '{ topic: a, mqtt.topic: "{device}", undelivered.topic: a }',
      'commands[0].undelivered.topic',
      'not read',
    ],
    [
      '{ topic: a, mqtt.topic: "{device}", reply: { mqtt.topic: "{device}/r", topic: a } }',
      'commands[0].reply.topic',
      'not read',
    ],
    [
      '{ topic: a, mqtt.topic: "{device}", reply: { mqtt.topic: "r/#/{device}", topic: b } }',
      'commands[0].reply.mqtt.topic',
      'last level',
    ],
    [
      '{ topic: a, mqtt.topic: "{device}", reply: { mqtt.topic: "r/+", topic: b } }',
      'commands[0].reply.mqtt.topic',
      '{device}',
    ],
  ])('a fault of a command topic is named by line and key: %s', (text, key, expected) => {
    const { faults } = home.load(`commands:\n  - ${text}\n`);
    expect(faults).toMatchObject([{ key, line: 2 }]);
    expect(faults[0]!.expected).toContain(expected);
  });

  it('the same Kafka topic is refused as a command topic a second time', () => {
    const { faults } = home.load(`
commands:
  - { topic: a, mqtt.topic: "x/{device}" }
  - { topic: a, mqtt.topic: "y/{device}" }
`);
    expect(faults).toMatchObject([{ key: 'commands[1].topic', expected: 'each command topic once' }]);
  });
});
