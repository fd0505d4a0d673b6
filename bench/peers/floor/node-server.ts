/**
 * What Node's own sockets cost: a server that reads what a device sends and answers each PUBLISH with its
 * PUBACK. Of MQTT it knows just enough to find where frames end, and nothing goes anywhere. It prints its port
 * when it is ready, and ends with SIGTERM. With PEER_LATE it answers PEER_LINGER_MS later, many sockets at a time, as
 * a bridge does that waits for Kafka.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

const CONNECT = 0x10;
const PUBLISH = 0x30;
const DISCONNECT = 0xe0;
const CONNACK = Buffer.from([0x20, 2, 0, 0]);

const lateMs = process.env.PEER_LATE === undefined ? 0 : Number(process.env.PEER_LINGER_MS);
/** Answers that wait. */
let due: { socket: Socket; pubacks: Buffer }[] = [];

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Buffer | undefined;
  socket.on('data', (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    const at = answer(socket, bytes);
    rest = at === bytes.length ? undefined : bytes.subarray(at);
  });
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on ${(server.address() as AddressInfo).port}`);
});
process.on('SIGTERM', () => process.exit());

/** Answers the whole frames; returns where the first incomplete one begins. */
function answer(socket: Socket, bytes: Buffer): number {
  const length = bytes.length;
  let at = 0;
  let pubacks: Buffer | undefined;
  let out = 0;
  for (;;) {
    let remaining = 0;
    let body = at + 1;
    let shift = 0;
    let byte = 0x80;
    while (byte > 0x7f && body < length && shift < 28) {
      byte = bytes[body++] as number;
      remaining |= (byte & 0x7f) << shift;
      shift += 7;
    }
    if (byte > 0x7f || body + remaining > length) break;
    const header = bytes[at] as number;
    const type = header & 0xf0;
    if (type === PUBLISH && (header & 0x06) !== 0) {
      const id = body + 2 + (((bytes[body] as number) << 8) | (bytes[body + 1] as number));
      // A frame is at least twice as long as its answer.
      pubacks ??= Buffer.allocUnsafe(length);
      pubacks[out++] = 0x40;
      pubacks[out++] = 2;
      pubacks[out++] = bytes[id] as number;
      pubacks[out++] = bytes[id + 1] as number;
    } else if (type === CONNECT) {
      socket.write(CONNACK);
    } else if (type === DISCONNECT) {
      socket.end();
    }
    at = body + remaining;
  }
  if (pubacks !== undefined) send(socket, pubacks.subarray(0, out));
  return at;
}

function send(socket: Socket, pubacks: Buffer): void {
  if (lateMs === 0) {
    socket.write(pubacks);
    return;
  }
  if (due.length === 0) setTimeout(sendAll, lateMs);
  due.push({ socket, pubacks });
}

function sendAll(): void {
  const all = due;
  due = [];
  for (const { socket, pubacks } of all) socket.write(pubacks);
}
