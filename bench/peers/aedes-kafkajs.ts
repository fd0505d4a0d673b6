/**
 * What a good engineer writes in an afternoon: aedes in front, kafkajs behind. In three forms, as one finds them:
 * - PEER_ACK=after-kafka, PEER_SEND=batch: `authorizePublish` holds each PUBACK until the batch that is sent
 *   every 20 ms is in Kafka.
 * - PEER_ACK=after-kafka, PEER_SEND=each: `authorizePublish` awaits a `producer.send` for each message.
 * - PEER_ACK=on-receipt: aedes acknowledges by itself and the `publish` event fills the batch; what is
 *   acknowledged may still be lost.
 * The payload is passed on as it is, keyed by the device in the topic, acks=all, lz4 by the same native
 * library that Sluice uses. PEER_BROKERS, PEER_TOPIC, PEER_COMPRESSION (lz4, none), PEER_TLS_CERT and PEER_TLS_KEY
 * configure it; it prints one line with its port when it is ready, and ends with SIGTERM.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Aedes } from 'aedes';
import type { AedesPublishPacket, PublishPacket } from 'aedes';
import kafkajs from 'kafkajs';
import type { Message } from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';

const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs;
const BATCH_EVERY_MS = 20;

const brokers = (process.env.PEER_BROKERS ?? '127.0.0.1:9092').split(',');
const topic = process.env.PEER_TOPIC ?? 'telemetry';
const holdsAcknowledgements = process.env.PEER_ACK === 'after-kafka';
const compression = process.env.PEER_COMPRESSION === 'none' ? CompressionTypes.None : CompressionTypes.LZ4;

CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder: { buffer: Buffer }) => compressFrame(encoder.buffer),
  decompress: (compressed: Buffer) => decompressFrame(compressed),
});

const kafka = new Kafka({ brokers, clientId: 'aedes-kafkajs', logLevel: logLevel.ERROR });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();

let messages: Message[] = [];
let waiting: ((error?: Error | null) => void)[] = [];

async function sendBatch(): Promise<void> {
  if (messages.length === 0) return;
  const batch = messages;
  const callbacks = waiting;
  messages = [];
  waiting = [];
  try {
    await producer.send({ topic, messages: batch, acks: -1, compression });
    for (const callback of callbacks) callback();
  } catch (error) {
    console.error(error);
    for (const callback of callbacks) callback(error as Error);
  }
}
setInterval(() => void sendBatch(), BATCH_EVERY_MS);

function messageOf(packet: PublishPacket | AedesPublishPacket): Message {
  const device = packet.topic.split('/')[2] ?? packet.topic;
  return { key: device, value: Buffer.from(packet.payload) };
}

const broker = await Aedes.createBroker();
if (!holdsAcknowledgements) {
  broker.on('publish', (packet, client) => {
    if (client !== null) messages.push(messageOf(packet));
  });
} else if (process.env.PEER_SEND === 'each') {
  broker.authorizePublish = (_client, packet, callback) => {
    producer.send({ topic, messages: [messageOf(packet)], acks: -1, compression }).then(
      () => {
        callback();
      },
      (error: unknown) => {
        callback(error as Error);
      },
    );
  };
} else {
  broker.authorizePublish = (_client, packet, callback) => {
    messages.push(messageOf(packet));
    waiting.push(callback);
  };
}

const { PEER_TLS_CERT: certificate, PEER_TLS_KEY: key } = process.env;
const server =
  certificate === undefined || key === undefined
    ? createServer((socket) => {
        broker.handle(socket);
      })
    : createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => {
        broker.handle(socket);
      });
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on ${(server.address() as AddressInfo).port}`);
});

process.on('SIGTERM', () => {
  broker.close(() => {
    void sendBatch()
      .then(() => producer.disconnect())
      .finally(() => process.exit());
  });
});
