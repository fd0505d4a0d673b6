// Idempotence is on by default: whatever has to be repeated on the way, each record is in its partition once, and
// in order. What it needs is said here in so many words; with anything else the producer refuses to start.
//
//   KAFKA=localhost:9092 node idempotent-producer.ts
//   (in a clone of Sluice: node --conditions=sluice-source examples/idempotent-producer.ts)
import { Producer, ProducerError, StringSerializer } from 'sluice/producer';

const kafka = process.env.KAFKA ?? 'localhost:9092';

try {
  new Producer({ 'bootstrap.servers': kafka, 'enable.idempotence': true, acks: 1 });
} catch (error) {
  if (error instanceof ProducerError) console.log(error.message);
}

const producer = new Producer(
  {
    'bootstrap.servers': kafka,
    'enable.idempotence': true,
    acks: 'all', // with topics of replication factor 3 and min.insync.replicas 2
    'max.in.flight.requests.per.connection': 5, // five batches on their way, and still in order
    'delivery.timeout.ms': 120_000, // retries need no count: this is how long they go on
  },
  { keySerializer: new StringSerializer(), valueSerializer: new StringSerializer() },
);

const sends = Array.from({ length: 1_000 }, (_, n) =>
  producer.send({ topic: 'payments', key: `account-${n % 20}`, value: `payment ${n}` }),
);
const results = await Promise.allSettled(sends);
const failed = results.filter(({ status }) => status === 'rejected');
console.log(`${results.length - failed.length} payments are in Kafka once, ${failed.length} are not`);
await producer.close();
