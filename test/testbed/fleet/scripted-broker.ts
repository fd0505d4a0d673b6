import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import mqttPacket from 'mqtt-packet';
import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet';

/** One connection that a client made to the scripted broker. */
export interface BrokerConnection {
  readonly socket: Socket;
  readonly packets: Packet[];
  readonly connect: IConnectPacket | undefined;
  readonly publishes: IPublishPacket[];
  readonly disconnected: boolean;
}

/** An MQTT endpoint that does what the test tells it to: it keeps no sessions and routes nothing. */
export class ScriptedBroker {
  readonly connections: BrokerConnection[] = [];
  /** Return code of the CONNACK; undefined: none is sent. */
  connack: number | undefined = 0;
  /** Whether a PUBLISH is acknowledged at once. */
  acknowledges = true;
  readonly #server: Server = createServer((socket) => {
    this.#accept(socket);
  });
  #port = 0;

  static async start(port = 0): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker();
    await broker.listen(port);
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Payloads of all publications, in the order of their arrival. */
  payloads(): string[] {
    return this.connections.flatMap((each) => each.publishes.map(({ payload }) => payload.toString()));
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Sends the PUBACK of a connection's publication, the first one by default. */
  acknowledge(connection: BrokerConnection, index = 0): void {
    const { messageId } = connection.publishes[index]!;
    connection.socket.write(mqttPacket.generate({ cmd: 'puback', messageId: messageId! }));
  }

  /** Publishes to one client, whatever it has subscribed to. */
  publish({ socket }: BrokerConnection, topic: string, payload: string): void {
    socket.write(mqttPacket.generate({ cmd: 'publish', topic, payload, qos: 0, retain: false, dup: false }));
  }

  /** Breaks every connection without a word, as a crash does. */
  crash(): void {
    for (const { socket } of this.connections) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    if (!this.#server.listening) return;
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    const connection = {
      socket,
      packets: [] as Packet[],
      connect: undefined as IConnectPacket | undefined,
      publishes: [] as IPublishPacket[],
      disconnected: false,
    };
    this.connections.push(connection);
    const parser = mqttPacket.parser();
    parser.on('packet', (packet: Packet) => {
      connection.packets.push(packet);
      if (packet.cmd === 'connect') connection.connect = packet;
      if (packet.cmd === 'publish') connection.publishes.push(packet);
      if (packet.cmd === 'disconnect') connection.disconnected = true;
      this.#answer(socket, packet);
    });
    socket.on('data', (chunk) => parser.parse(chunk));
    socket.on('error', () => socket.destroy());
  }

  #answer(socket: Socket, packet: Packet): void {
    const send = (answer: Packet): void => {
      socket.write(mqttPacket.generate(answer));
    };
    const messageId = packet.messageId!;
    if (packet.cmd === 'connect' && this.connack !== undefined) {
      send({ cmd: 'connack', returnCode: this.connack, sessionPresent: false });
    } else if (packet.cmd === 'subscribe') {
      send({ cmd: 'suback', messageId, granted: packet.subscriptions.map(() => 0) });
    } else if (packet.cmd === 'publish' && this.acknowledges && packet.qos > 0) {
      send({ cmd: packet.qos === 1 ? 'puback' : 'pubrec', messageId });
    } else if (packet.cmd === 'pubrel') {
      send({ cmd: 'pubcomp', messageId });
    }
  }
}
