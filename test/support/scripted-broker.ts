import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { FrameSplitter } from '../../src/kafka/protocol/frames.ts';

/** One request as it came: the header's numbers, and everything behind the size. */
export interface ReceivedRequest {
  readonly key: number;
  readonly version: number;
  readonly correlationId: number;
  readonly socket: Socket;
}

/** The end of a wire-level fault: a server that takes requests apart, and answers what a test has it answer. */
export class ScriptedBroker {
  readonly requests: ReceivedRequest[] = [];
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  /** @param onRequest what is done at each request; the server itself does nothing */
  static async start(onRequest: (request: ReceivedRequest) => void = () => {}): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker(onRequest);
    await once(broker.#server.listen(0, '127.0.0.1'), 'listening');
    return broker;
  }

  private constructor(onRequest: (request: ReceivedRequest) => void) {
    this.#server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
      const splitter = new FrameSplitter();
      socket.on('data', (chunk: Buffer) => {
        for (const frame of splitter.take(chunk)) {
          const request = {
            key: frame.readInt16BE(4),
            version: frame.readInt16BE(6),
            correlationId: frame.readInt32BE(8),
            socket,
          };
          this.requests.push(request);
          onRequest(request);
        }
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** An answer as it goes over the wire: size, correlation id, what follows it. */
export function answer(correlationId: number, rest: Uint8Array | string): Buffer {
  const body = Buffer.from(rest);
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + body.length, 0);
  head.writeInt32BE(correlationId, 4);
  return Buffer.concat([head, body]);
}
