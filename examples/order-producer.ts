// Sends orders keyed by customer, and prints where Kafka put each: all orders of a customer are in one partition,
// in the order in which they were sent.
//
//   KAFKA=localhost:9092 node order-producer.ts
//   (in a clone of Sluice: node --conditions=sluice-source examples/order-producer.ts)
import { JsonSerializer, Producer, ProducerRecord, StringSerializer } from 'sluice/producer';

interface Order {
  readonly id: number;
  readonly item: string;
  readonly cents: number;
}

const producer = new Producer(
  { 'bootstrap.servers': process.env.KAFKA ?? 'localhost:9092', 'compression.type': 'lz4' },
  { keySerializer: new StringSerializer(), valueSerializer: new JsonSerializer<Order>() },
);

const customers = ['anna', 'ben', 'carla'];
for (let id = 1; id <= 9; id++) {
  const customer = customers[id % customers.length] ?? null;
  const order = { id, item: 'coffee', cents: 250 + id };
  producer.send(new ProducerRecord('orders', customer, order), (error, { partition, offset }) => {
    if (error === undefined)
      console.log(`order ${id} of ${customer}: partition ${partition}, offset ${offset}`);
    else console.error(`order ${id} of ${customer} was not delivered: ${error.message}`);
  });
}

// Without this the process would end with the last orders still in memory.
const undelivered = await producer.close();
if (undelivered.length > 0) process.exitCode = 1;
