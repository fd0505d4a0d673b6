import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameHeader, Opcode, WebSocketReader } from '../../../src/mqtt/edge/websocket-frames.ts';

/** A client's frame. */
function frame(first: number, payload: Uint8Array, mask: readonly number[] = [1, 2, 3, 4]): Buffer {
  const length = payload.length;
  const header =
    length < 126
      ? [first, 0x80 | length]
      : length < 65_536
        ? [first, 0xfe, length >> 8, length & 0xff]
        : [first, 0xff, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff];
  return Buffer.from([...header, ...mask, ...payload.map((byte, index) => byte ^ mask[index & 3]!)]);
}

function reader() {
  const payload: Buffer[] = [];
  const events: string[] = [];
  const frames = new WebSocketReader({
    payload: (bytes) => payload.push(Buffer.from(bytes)),
    ping: (bytes) => events.push(`ping ${bytes.toString()}`),
    closing: () => events.push('closing'),
  });
  return { frames, events, payload: () => Buffer.concat(payload) };
}

describe('WebSocketReader', () => {
  it('yields the payload of all frames, whatever pieces they come in', () => {
    const message = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
        (messages, mask, lengths) => {
          const wire = Buffer.concat(
            messages.flatMap((parts) =>
              parts.flatMap((part, index) => [
                frame(0x89, Buffer.from('are you there'), mask),
                frame((index === parts.length - 1 ? 0x80 : 0) | (index === 0 ? 2 : 0), part, mask),
              ]),
            ),
          );
          const { frames, events, payload } = reader();
          for (let at = 0, cut = 0; at < wire.length; cut++) {
            const length = lengths[cut % lengths.length]!;
            expect(frames.read(Buffer.from(wire.subarray(at, at + length)))).toBeUndefined();
            at += length;
          }
          expect(payload().equals(Buffer.concat(messages.flat()))).toBe(true);
          expect(events).toHaveLength(messages.flat().length);
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each([126, 65_535, 65_536, 200_000])('reads a frame of %s bytes without holding it', (length) => {
    const content = Buffer.alloc(length, 'sluice');
    const { frames, payload } = reader();
    expect(frames.read(frame(0x82, content))).toBeUndefined();
    expect(payload().equals(content)).toBe(true);
  });

  it('passes on what there is of a frame that is not complete', () => {
    const { frames, payload } = reader();
    frames.read(frame(0x82, Buffer.from('temperature')).subarray(0, -4));
    expect(payload().toString()).toBe('tempera');
  });

  it('looks at nothing behind a close', () => {
    const { frames, events, payload } = reader();
    frames.read(Buffer.concat([frame(0x88, Buffer.alloc(0)), frame(0x82, Buffer.from('late'))]));
    frames.read(frame(0x82, Buffer.from('later')));
    expect(events).toEqual(['closing']);
    expect(payload()).toHaveLength(0);
  });

  it.each([
    ['[MQTT-6.0.0-1] a text frame', frame(0x81, Buffer.from('a')), 1003],
    ['a frame without mask', Buffer.from([0x82, 1, 65]), 1002],
    ['reserved bits', frame(0xc2, Buffer.from('a')), 1002],
    ['an unknown kind', frame(0x83, Buffer.from('a')), 1002],
    ['a continuation of nothing', frame(0x80, Buffer.from('a')), 1002],
    [
      'a message within another',
      Buffer.concat([frame(0x02, Buffer.from('a')), frame(0x82, Buffer.from('b'))]),
      1002,
    ],
    ['a ping in pieces', frame(0x09, Buffer.from('a')), 1002],
    ['a ping of 126 bytes', frame(0x89, Buffer.alloc(126)), 1002],
    ['a length beyond 2^53', Buffer.from([0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), 1002],
  ])('refuses %s', (_name, bytes, code) => {
    expect(reader().frames.read(Buffer.from(bytes))).toMatchObject({ code });
  });

  it('takes whatever bytes come', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), (chunks) => {
        const { frames } = reader();
        for (const chunk of chunks) if (frames.read(Buffer.from(chunk)) !== undefined) return;
      }),
    );
  });
});

describe('frameHeader', () => {
  it.each([
    [0, [0x82, 0]],
    [125, [0x82, 125]],
    [126, [0x82, 126, 0, 126]],
    [65_535, [0x82, 126, 255, 255]],
    [65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ])('of %s bytes of payload', (length, header) => {
    expect([...frameHeader(Opcode.Binary, length)]).toEqual(header);
  });
});
