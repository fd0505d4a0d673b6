import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { generate, type Packet } from 'mqtt-packet';
import type { TestGateway } from '../../test/support/gateway.ts';
import { until } from '../../test/support/until.ts';

/** Connections that are being opened at a time. */
const OPENING = 64;
const TIMEOUT_MS = 300_000;
const [CONNACK, PUBACK, SUBACK] = [0x20, 0x40, 0x90] as const;
const PUBLISH_TYPE = 3;

/** Devices that answer each command with its PUBACK, and count them all. */
export class Crowd {
  readonly #size: number;
  readonly #sockets: Socket[] = [];
  #commands = 0;

  constructor(size: number) {
    this.#size = size;
  }

  async connects(gateway: TestGateway, how: 'subscribing' | 'returning'): Promise<void> {
    const port = Number(new URL(gateway.mqttUrl).port);
    let next = 0;
    const open = async (): Promise<void> => {
      for (let number = next++; number < this.#size; number = next++) {
        this.#sockets.push(await this.#device(port, `device-${number}`, how));
      }
    };
    await Promise.all(Array.from({ length: OPENING }, open));
  }

  async leaves(): Promise<void> {
    const sockets = this.#sockets.splice(0);
    await Promise.all(
      sockets.map(async (socket) => {
        const closed = once(socket, 'close');
        socket.end(generate({ cmd: 'disconnect' }));
        await closed;
      }),
    );
  }

  async has(commands: number): Promise<void> {
    await until(() => this.#commands >= commands, { timeoutMs: TIMEOUT_MS, what: `${commands} commands` });
    if (this.#commands > commands) throw new Error(`${this.#commands} in place of ${commands} commands`);
  }

  /** Resolves with its CONNACK, or its SUBACK. */
  async #device(port: number, clientId: string, how: 'subscribing' | 'returning'): Promise<Socket> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const isNew = how === 'subscribing';
    const packets: Packet[] = [
      { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId, clean: false, keepalive: 0 },
    ];
    const topic = `devices/${clientId}/commands`;
    if (isNew) packets.push({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] });
    socket.write(Buffer.concat(packets.map((packet) => generate(packet))));
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    socket.on('error', reject);
    const last = isNew ? SUBACK : CONNACK;
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      // What comes here is shorter than 128 bytes, so that its length is one byte.
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt8(1)) {
        const frame = rest.subarray(0, 2 + rest.readUInt8(1));
        rest = rest.subarray(frame.length);
        if (frame.readUInt8(0) === last) resolve(socket);
        if (frame.readUInt8(0) >> 4 !== PUBLISH_TYPE) continue;
        this.#commands++;
        const id = 4 + frame.readUInt16BE(2);
        socket.write(Buffer.from([PUBACK, 2, frame.readUInt8(id), frame.readUInt8(id + 1)]));
      }
    });
    return promise;
  }
}
