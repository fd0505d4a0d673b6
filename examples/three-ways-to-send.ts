// The same producer, three ways to hear (or not) what became of a record.
//
//   KAFKA=localhost:9092 node three-ways-to-send.ts
//   (in a clone of Sluice: node --conditions=sluice-source examples/three-ways-to-send.ts)
import { Producer, ProducerError, StringSerializer } from 'sluice/producer';

const serializer = new StringSerializer();
const producer = new Producer(
  { 'bootstrap.servers': process.env.KAFKA ?? 'localhost:9092' },
  { keySerializer: serializer, valueSerializer: serializer },
);
const topic = 'page-views';

// 1. Fire and forget: for what may be missing now and then. A failure is counted, and logged once in a while.
void producer.send({ topic, key: 'home', value: 'viewed' });

// 2. Await: for one record on whose fate something depends. For many, make all the sends first and await them
//    together: awaited one by one, each would wait for linger.ms alone.
try {
  const { partition, offset } = await producer.send({ topic, key: 'checkout', value: 'viewed' });
  console.log(`awaited: partition ${partition}, offset ${offset}`);
  const sent = await Promise.all(
    ['a', 'b', 'c'].map((value) => producer.send({ topic, key: 'checkout', value })),
  );
  console.log(`awaited together: ${sent.length}`);
} catch (error) {
  if (!(error instanceof ProducerError)) throw error;
  console.error(`not delivered: ${error.code}${error.retriable ? ', may be sent again' : ''}`);
}

// 3. A callback: for a stream of records, each with its own consequence. No promise a record; the callbacks of one
//    partition come in order. A stream that is faster than Kafka waits where it is told to.
let delivered = 0;
for (let view = 0; view < 1_000; view++) {
  producer.send({ topic, key: `page-${view % 10}`, value: `view ${view}` }, (error) => {
    if (error === undefined) delivered++;
  });
  if (producer.isBlocked) await producer.unblocked();
}
await producer.flush();
console.log(`called back: ${delivered}`);

await producer.close();
