import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { onTestFinished } from 'vitest';
import { until } from './until.ts';

/** A device that takes commands, by the package mqtt: what it has got so far, in order. */
export class CommandDevice {
  readonly commands: { topic: string; text: string; qos: number }[] = [];
  readonly mqtt: MqttClient;

  /** Connected with a persistent session, and subscribed to `devices/<id>/commands/#` with QoS 1. */
  static async connected(url: string, id: string, options: IClientOptions = {}): Promise<CommandDevice> {
    const device = new CommandDevice(url, id, options);
    await new Promise<void>((done, fail) => {
      device.mqtt.once('connect', () => {
        done();
      });
      device.mqtt.once('error', fail);
    });
    await device.mqtt.subscribeAsync(`devices/${id}/commands/#`, { qos: 1 });
    return device;
  }

  private constructor(url: string, clientId: string, options: IClientOptions) {
    this.mqtt = connect(url, { clientId, clean: false, reconnectPeriod: 0, ...options });
    this.mqtt.on('message', (topic, payload, { qos }) =>
      this.commands.push({ topic, text: payload.toString(), qos }),
    );
    onTestFinished(async () => {
      await this.mqtt.endAsync(true);
    });
  }

  get texts(): string[] {
    return this.commands.map(({ text }) => text);
  }

  async gets(count: number): Promise<void> {
    await until(() => this.commands.length >= count, { what: `${count} commands`, everyMs: 10 });
  }

  /** With DISCONNECT. */
  async leaves(): Promise<void> {
    await this.mqtt.endAsync();
  }
}
