import type { DeviceCommands } from '../core/route.ts';

/** Commands to devices; they lead nowhere until the gateway's MQTT broker is there. */
export class LocalCommands implements DeviceCommands {
  #publish: DeviceCommands['publish'] | undefined;

  connect(publish: DeviceCommands['publish']): void {
    this.#publish = publish;
  }

  publish(topic: string, payload: Uint8Array): void {
    this.#publish?.(topic, payload);
  }
}
