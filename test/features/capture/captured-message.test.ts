import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageLine, parseLine } from '../../../src/features/capture/captured-message.ts';
import type { Publication, QoS } from '../../../src/core/publication.ts';

const publications = fc.record({
  topic: fc.record({
    name: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter((name) => !/[+#\0]/.test(name) && name.isWellFormed()),
    id: fc.nat(),
  }),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ unit: 'binary', maxLength: 200 }).map((text) => Buffer.from(text, 'utf8')),
  ),
  qos: fc.constantFrom<QoS>(0, 1, 2),
  retain: fc.boolean(),
  dup: fc.boolean(),
  packetId: fc.nat(65_535),
  clientId: fc.string({ maxLength: 30 }),
  receivedAtMs: fc.nat(4_102_444_800_000),
});

describe('a line of a capture', () => {
  it('gives back topic, payload, QoS, flags, client id and receipt time, whatever they are', () => {
    fc.assert(
      fc.property(publications, (publication: Publication) => {
        const { topic, payload, qos, retain, dup, clientId, receivedAtMs } = publication;
        const line = messageLine(publication);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(parseLine(line)).toEqual({
          kind: 'message',
          message: { receivedAtMs, topic: topic.name, clientId, qos, retain, dup, payload },
        });
      }),
    );
  });

  it('keeps a readable payload readable, and has nothing in it that is as usual', () => {
    const publication: Publication = {
      topic: { name: 'a/b', id: 1 },
      payload: Buffer.from('{"t":1}'),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 7,
      clientId: 'd-1',
      receivedAtMs: 5,
    };
    expect(messageLine(publication)).toBe(
      '{"at":5,"topic":"a/b","client":"d-1","qos":1,"text":"{\\"t\\":1}"}\n',
    );
    expect(messageLine({ ...publication, payload: Buffer.of(0), retain: true })).toBe(
      '{"at":5,"topic":"a/b","client":"d-1","qos":1,"retain":true,"payload":"AA=="}\n',
    );
  });

  it.each([
    ['{"at":1', 'no JSON'],
    ['[1]', 'no JSON object'],
    ['{"sluice.capture":2}', 'another format'],
    ['{"missed":0}', '`missed`'],
    ['{"at":"now","topic":"a","payload":""}', '`at`'],
    ['{"at":1,"topic":"a/#","payload":""}', '`topic`'],
    ['{"at":1,"topic":"a","qos":3,"payload":""}', '`qos`'],
    ['{"at":1,"topic":"a","payload":"~"}', 'neither'],
    ['{"at":1,"topic":"a","payload":"","text":""}', 'neither'],
  ])('says what is wrong with %s', (text, problem) => {
    expect(parseLine(text)).toContain(problem);
  });
});
