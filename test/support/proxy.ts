import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { ClusterPort } from '../../src/kafka/cluster-port.ts';
import type { PortOptions } from '../../src/kafka/port-options.ts';
import type { BrokerEndpoint } from '../../src/producer/port.ts';

/** Kafka protocol guide, "Api Keys". */
const PRODUCE = 0;

/** What goes wrong on the wire. */
export interface WireFaults {
  /** Asked once for each Produce response: true loses it, and all that its connection would have brought after it. */
  readonly losesResponse?: () => boolean;
  /**
   * Asked once for each request and response: how many of its bytes arrive before the connection is reset at
   * both ends; undefined: all, and it isn't.
   */
  readonly cutsAfter?: (frameBytes: number) => number | undefined;
}

/** TCP proxies in front of all brokers of a cluster, and the way for a producer to go through them. */
export class FaultyWire {
  readonly bootstrapServers: string;
  readonly #proxies: ReadonlyMap<number, BrokerProxy>;

  static async open(brokerPorts: readonly number[], faults: WireFaults): Promise<FaultyWire> {
    const proxies = new Map<number, BrokerProxy>();
    for (const port of brokerPorts) proxies.set(port, await BrokerProxy.open(port, faults));
    return new FaultyWire(proxies);
  }

  private constructor(proxies: ReadonlyMap<number, BrokerProxy>) {
    this.#proxies = proxies;
    this.bootstrapServers = [...proxies.values()].map(({ port }) => `127.0.0.1:${port}`).join(',');
  }

  /** Brokers tell their own addresses, so the port takes the proxies' in their place. */
  readonly portFor = (options: PortOptions): ClusterPort => {
    const ports = new Map([...this.#proxies].map(([broker, { port }]) => [broker, port]));
    return new (class extends ClusterPort {
      override setBrokers(endpoints: readonly BrokerEndpoint[]): void {
        super.setBrokers(endpoints.map((one) => ({ ...one, port: ports.get(one.port) ?? one.port })));
      }
    })(options);
  };

  async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
  }
}

class BrokerProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #faults: WireFaults;

  static async open(brokerPort: number, faults: WireFaults): Promise<BrokerProxy> {
    const proxy = new BrokerProxy(brokerPort, faults);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  private constructor(brokerPort: number, faults: WireFaults) {
    this.#faults = faults;
    this.#server = createServer({ noDelay: true }, (client) => {
      this.#join(client, connect({ host: '127.0.0.1', port: brokerPort, noDelay: true }));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, broker: Socket): void {
    const produceRequests = new Set<number>();
    let silent = false;
    let cut = false;
    const pass = (frame: Buffer, to: Socket): void => {
      // Behind the cut comes nothing: a frame after half of another is nothing that TCP could do.
      if (cut || to.destroyed) return;
      const cutAfter = this.#faults.cutsAfter?.(frame.length);
      if (cutAfter === undefined) {
        to.write(frame);
        return;
      }
      cut = true;
      to.write(frame.subarray(0, cutAfter), () => {
        client.resetAndDestroy();
        broker.resetAndDestroy();
      });
    };
    this.#carry(
      client,
      broker,
      frameSplitter((frame) => {
        // size, api_key int16, api_version int16, correlation_id int32
        if (frame.readInt16BE(4) === PRODUCE) produceRequests.add(frame.readInt32BE(8));
        pass(frame, broker);
      }),
    );
    this.#carry(
      broker,
      client,
      frameSplitter((frame) => {
        if (produceRequests.delete(frame.readInt32BE(4)) && !silent) {
          silent = this.#faults.losesResponse?.() ?? false;
        }
        if (!silent) pass(frame, client);
      }),
    );
  }

  #carry(from: Socket, to: Socket, take: (chunk: Buffer) => void): void {
    this.#sockets.add(from);
    from.on('data', take);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/** Calls back with each whole request or response, its length of 4 bytes included. */
function frameSplitter(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE(0);
      if (rest.length < end) return;
      onFrame(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}
