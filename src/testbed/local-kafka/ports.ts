import { randomInt } from 'node:crypto';
import { createConnection, createServer } from 'node:net';

/**
 * Below the range from which the operating system takes ports for outgoing connections (32768 upwards on
 * Linux, 49152 on macOS). A port from that range may be taken while its broker restarts; worse, a client
 * that retries a connection to it on loopback can end up connected to itself, holding the port for ever.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** Why a server could not listen on this port of 127.0.0.1 now (EADDRINUSE, EACCES); undefined if it could. */
export async function portFault(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      server.close(() => resolve(undefined));
    });
  });
}

/** Ports of 127.0.0.1 that are free at this moment; whoever binds them must be ready to be too late. */
export async function findFreePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = randomInt(LOWEST, HIGHEST);
    if (!found.has(port) && (await portFault(port)) === undefined) found.add(port);
  }
  return [...found];
}

/** What a broker says of its cluster. */
export interface ClusterView {
  readonly clusterId: string | null;
  /** Brokers that are registered and not fenced, that is, ready to serve. */
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[];
}

const METADATA = 3;
/** The oldest that tells the cluster id without compact encodings; every Kafka since 1.0 speaks it. */
const METADATA_VERSION = 4;
const MAX_RESPONSE_BYTES = 1024 * 1024;

/**
 * Asks whatever listens on the port of 127.0.0.1 for its cluster with one Metadata request (Kafka protocol
 * guide, "Metadata API", version 4), about no topic at all. Undefined if nobody listens, or it isn't a Kafka,
 * or it doesn't answer in time. It is this small on purpose: it must also work while a broker is half up or
 * is a stranger, where a client library would retry and log.
 */
export async function probeCluster(port: number, timeoutMs = 2_000): Promise<ClusterView | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    const chunks: Buffer[] = [];
    let received = 0;
    const finish = (view: ClusterView | undefined): void => {
      socket.destroy();
      resolve(view);
    };
    const fail = (): void => finish(undefined);
    // Not the clock port: this is how long a real peer on a real socket may keep us waiting.
    socket.setTimeout(timeoutMs, fail).on('error', fail).on('close', fail);
    socket.on('connect', () => socket.write(metadataRequest()));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (received < 4) return;
      const response = Buffer.concat(chunks);
      const length = response.readInt32BE(0);
      if (length < 0 || length > MAX_RESPONSE_BYTES) finish(undefined);
      else if (received >= 4 + length) finish(parseMetadata(response.subarray(4, 4 + length)));
    });
  });
}

function metadataRequest(): Buffer {
  const clientId = Buffer.from('sluice-probe');
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + 4 + 1);
  let at = request.writeInt32BE(request.length - 4, 0);
  at = request.writeInt16BE(METADATA, at);
  at = request.writeInt16BE(METADATA_VERSION, at);
  at = request.writeInt32BE(1, at); // correlation id
  at = request.writeInt16BE(clientId.length, at);
  at += clientId.copy(request, at);
  at = request.writeInt32BE(0, at); // no topics
  request.writeInt8(0, at); // allow_auto_topic_creation
  return request;
}

/** Undefined for anything that does not read as a Metadata response: then it is not a Kafka. */
function parseMetadata(response: Buffer): ClusterView | undefined {
  let at = 0;
  const int32 = (): number => {
    at += 4;
    return response.readInt32BE(at - 4);
  };
  const nullableString = (): string | null => {
    const length = response.readInt16BE(at);
    at += 2;
    if (length < 0) return null;
    at += length;
    if (at > response.length) throw new RangeError('string beyond the end');
    return response.toString('utf8', at - length, at);
  };
  try {
    if (int32() !== 1) return undefined;
    int32(); // throttle_time_ms
    const brokers: { id: number; host: string; port: number }[] = [];
    for (let count = int32(); count > 0; count--) {
      const id = int32();
      const host = nullableString() ?? '';
      brokers.push({ id, host, port: int32() });
      nullableString(); // rack
    }
    return { brokers, clusterId: nullableString() };
  } catch {
    return undefined;
  }
}
