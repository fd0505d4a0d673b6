import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { generate, type Packet } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { Outcome } from '../../src/core/publication.ts';
import type { Publication, PublicationOrigin, PublicationSink } from '../../src/core/publication.ts';
import { connectPacket, publish, subscribe } from '../mqtt/harness.ts';
import { newHub, turns, Wire } from '../mqtt/hub-rig.ts';
import { faultRecords } from '../support/fault-records.ts';
import { reportFaultNote, reportFaultRow } from '../support/fault-row.ts';
import { faultSeeds, SeededRandom } from '../support/seeds.ts';

/** Ten times as many frames as a fault test has records: two million with `npm run test:faults`. */
const FRAMES = 10 * faultRecords(2_000);
/** What garbage collection may leave of a long run, beyond what it left of its first tenth. */
const MEMORY_SLACK_BYTES = 24 * 1024 * 1024;

/** A PUBLISH as it stands in the bytes. */
interface Reference {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly packetId: number;
}

/** Everything in a stream that has the form of a PUBLISH, read frame by frame and not checked further. */
function publishesIn(bytes: Buffer): Reference[] {
  const found: Reference[] = [];
  for (let at = 0; at < bytes.length;) {
    const header = bytes[at++]!;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 21 || at >= bytes.length) return found;
      const digit = bytes[at++]!;
      length |= (digit & 0x7f) << shift;
      if (digit < 0x80) break;
    }
    const body = bytes.subarray(at, at + length);
    at += length;
    const qos = (header >> 1) & 3;
    if (at > bytes.length || header >> 4 !== 3 || body.length < 2) continue;
    const topicEnd = 2 + body.readUInt16BE(0);
    const payloadStart = topicEnd + (qos === 0 ? 0 : 2);
    if (payloadStart > body.length) continue;
    found.push({
      topic: body.subarray(2, topicEnd).toString('utf8'),
      payload: body.subarray(payloadStart),
      qos,
      packetId: qos === 0 ? 0 : body.readUInt16BE(topicEnd),
    });
  }
  return found;
}

/** Compares what it is handed with what stands in the stream. */
class JudgingSink implements PublicationSink {
  references: readonly Reference[] = [];
  offered = 0;
  accepted = 0;
  readonly wrong: string[] = [];
  readonly #random: SeededRandom;
  readonly #open: { readonly origin: PublicationOrigin; readonly token: number }[] = [];
  readonly #refused: PublicationOrigin[] = [];
  #next = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  begin(references: readonly Reference[]): void {
    this.references = references;
    this.#next = 0;
  }

  accept({ topic, payload, qos, packetId }: Publication, origin: PublicationOrigin, token: number): boolean {
    this.offered++;
    if (this.#random.next() < 0.05) {
      this.#refused.push(origin);
      return false;
    }
    this.accepted++;
    const matches = (one: Reference): boolean =>
      one.topic === topic.name && one.qos === qos && one.packetId === packetId && one.payload.equals(payload);
    while (this.#next < this.references.length && !matches(this.references[this.#next]!)) this.#next++;
    if (this.#next++ >= this.references.length) this.wrong.push(`${topic.name} QoS ${qos} id ${packetId}`);
    if (this.#random.next() < 0.5) origin.complete(token, Outcome.Delivered);
    else this.#open.push({ origin, token });
    return true;
  }

  settle(): void {
    for (const { origin, token } of this.#open.splice(0)) origin.complete(token, Outcome.Delivered);
    for (const origin of this.#refused.splice(0)) origin.resume();
  }
}

/** Well-formed packets of every kind that a client may send. */
function packet(random: SeededRandom, number: number): Packet {
  const topic = `t/${random.between(0, 20)}`;
  const messageId = random.between(1, 200);
  switch (random.between(0, 9)) {
    case 0:
      return { cmd: 'pingreq' };
    case 1:
      return { cmd: 'pubrel', messageId };
    case 2:
      return subscribe(messageId, [topic, random.between(0, 2) as 0 | 1 | 2], ['t/+', 1]);
    case 3:
      return { cmd: 'unsubscribe', messageId, unsubscriptions: [topic] };
    case 4:
      return { cmd: 'puback', messageId };
    default: {
      const payload = `${number}`.repeat(random.between(0, 30));
      const qos = random.between(0, 2) as 0 | 1 | 2;
      return publish(messageId, topic, payload, { qos, retain: random.next() < 0.05 && payload !== '' });
    }
  }
}

/** Flips, drops, repeats or inserts a byte, or repeats a stretch, behind the first `from` bytes. */
function mutated(bytes: Buffer, from: number, random: SeededRandom): Buffer {
  if (bytes.length <= from) return bytes;
  const at = random.between(from, bytes.length - 1);
  const upTo = Math.min(bytes.length, at + random.between(1, 40));
  switch (random.between(0, 3)) {
    case 0:
      return Buffer.from(bytes.with(at, bytes[at]! ^ random.between(1, 255)));
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.of(random.between(0, 255)), bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes.subarray(0, upTo), bytes.subarray(at)]);
  }
}

function heapAfterCollection(): number {
  setFlagsFromString('--expose_gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

describe('mutated frames in pieces of any size', () => {
  it.each(faultSeeds())(
    `${FRAMES} of them: nothing is thrown, nothing is handed over that was not sent, no memory stays, seed %i`,
    async (seed) => {
      const random = new SeededRandom(seed);
      const sink = new JudgingSink(random);
      const { hub, stats, broker, clock } = await newHub({}, sink);
      const connect = generate(connectPacket({ clientId: 'fuzz' }));
      let frames = 0;
      let heapBytes = 0;
      for (let round = 0; frames < FRAMES; round++) {
        const count = random.between(1, 40);
        const packets = Array.from({ length: count }, (_, index) => generate(packet(random, frames + index)));
        frames += count;
        let bytes: Buffer = Buffer.concat([connect, ...packets]);
        for (let n = random.between(0, 4); n > 0; n--) bytes = mutated(bytes, connect.length, random);
        sink.begin(publishesIn(bytes));

        const wire = new Wire();
        const receive = hub.accept(wire, 'fuzz:1');
        for (let at = 0; at < bytes.length;) {
          const end = Math.min(bytes.length, at + random.between(1, random.next() < 0.3 ? 3 : 500));
          receive(Buffer.from(bytes.subarray(at, end)));
          at = end;
          if (random.next() < 0.05) await turns(1);
        }
        await turns(5);
        for (let settling = 0; stats.inFlight + stats.parkedMessages > 0; settling++) {
          expect(settling).toBeLessThan(1_000);
          sink.settle();
          await turns(1);
        }
        wire.close();
        await turns(3);
        sink.settle();
        if (round % 50 === 0) clock.advance(1_000);
        expect(sink.wrong, `round ${round}`).toEqual([]);
        if (heapBytes === 0 && frames > FRAMES / 10) heapBytes = heapAfterCollection();
      }
      await turns(20);
      // Of what the sink was offered, that is: most frames are none of its business.
      reportFaultRow({
        records: sink.offered,
        acknowledged: sink.accepted,
        refused: sink.offered - sink.accepted,
        lost: 0,
        wrong: sink.wrong.length,
        twice: 0,
        disordered: 0,
        answeredOnce: sink.accepted,
      });
      const grownBytes = heapAfterCollection() - heapBytes;
      reportFaultNote(`memory grew by ${(grownBytes / 2 ** 20).toFixed(1)} MB after the first tenth`);
      expect(stats).toMatchObject({ connections: 0, inFlight: 0, parkedMessages: 0, parkedBytes: 0 });
      expect(stats.closed['internal-error']).toBe(0);
      expect(sink.accepted).toBeGreaterThan(FRAMES / 20);
      expect(grownBytes).toBeLessThan(MEMORY_SLACK_BYTES);
      hub.stopClock();
      await broker.close(Promise.resolve());
    },
    60_000 + FRAMES,
  );
});
