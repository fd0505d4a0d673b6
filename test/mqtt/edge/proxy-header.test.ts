import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readProxyHeader } from '../../../src/mqtt/edge/proxy-header.ts';

const v1 = (line: string): Buffer => Buffer.from(`${line}\r\nrest`, 'latin1');

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

function v2(command: number, family: number, body: readonly number[]): Buffer {
  return Buffer.from([...SIGNATURE, command, family, body.length >> 8, body.length & 0xff, ...body, 1, 2]);
}

const IPV4 = [192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0x01, 0x07, 0x5b];
const IPV6 = [
  0x20,
  1,
  0x0d,
  0xb8,
  ...Array<number>(11).fill(0),
  7,
  ...Array<number>(16).fill(1),
  0,
  80,
  0,
  1,
];

describe('readProxyHeader', () => {
  it.each([
    ['TCP4', v1('PROXY TCP4 192.0.2.7 10.0.0.1 49153 1883'), '192.0.2.7:49153'],
    ['TCP6', v1('PROXY TCP6 2001:db8::7 ::1 80 1883'), '2001:db8::7:80'],
    ['UNKNOWN', v1('PROXY UNKNOWN'), undefined],
    ['UNKNOWN and more', v1('PROXY UNKNOWN ffff::1 ffff::2 1 2'), undefined],
  ])('reads version 1, %s', (_name, bytes, client) => {
    expect(readProxyHeader(bytes)).toEqual({ kind: 'header', client, end: bytes.length - 4 });
  });

  it.each([
    ['IPv4', v2(0x21, 0x11, IPV4), '192.0.2.7:49153'],
    ['IPv4 with additions', v2(0x21, 0x11, [...IPV4, 3, 0, 4, 1, 2, 3, 4]), '192.0.2.7:49153'],
    ['IPv6', v2(0x21, 0x21, IPV6), '2001:db8::7:80'],
    ['a unix socket', v2(0x21, 0x31, Array<number>(216).fill(65)), undefined],
    ['an unspecified family', v2(0x21, 0, []), undefined],
    ['a health check', v2(0x20, 0, []), undefined],
  ])('reads version 2, %s', (_name, bytes, client) => {
    expect(readProxyHeader(bytes)).toEqual({ kind: 'header', client, end: bytes.length - 2 });
  });

  it('waits for what is missing, wherever the bytes are parted', () => {
    const headers = [
      v1('PROXY TCP4 192.0.2.7 10.0.0.1 49153 1883').subarray(0, -4),
      v2(0x21, 0x11, IPV4).subarray(0, -2),
    ];
    for (const bytes of headers) {
      for (let length = 0; length < bytes.length; length++) {
        expect(readProxyHeader(bytes.subarray(0, length))).toEqual({ kind: 'unfinished' });
      }
      expect(readProxyHeader(bytes)).toMatchObject({ kind: 'header', end: bytes.length });
    }
  });

  it.each([
    ['no header', Buffer.from([0x10, 12, 0, 4])],
    ['another protocol', v1('GET / HTTP/1.1')],
    ['a family that does not exist', v1('PROXY UDP4 192.0.2.7 10.0.0.1 1 2')],
    ['an address of the other family', v1('PROXY TCP4 ::1 10.0.0.1 1 2')],
    ['a port beyond 65535', v1('PROXY TCP4 192.0.2.7 10.0.0.1 65536 2')],
    ['a port with leading zeros', v1('PROXY TCP4 192.0.2.7 10.0.0.1 01 2')],
    ['too many words', v1('PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3')],
    ['a line without end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
    ['a version that does not exist', v2(0x31, 0x11, IPV4)],
    ['a command that does not exist', v2(0x22, 0x11, IPV4)],
    ['addresses that are cut off', v2(0x21, 0x11, IPV4.slice(1))],
    ['IPv6 addresses that are cut off', v2(0x21, 0x21, IPV6.slice(1))],
    ['a header of 64 KB', v2(0x21, 0x11, Array<number>(65_535).fill(0))],
  ])('refuses %s', (_name, bytes) => {
    expect(readProxyHeader(bytes).kind).toBe('problem');
  });

  it('answers whatever bytes come', () => {
    const start = fc.constantFrom(Buffer.alloc(0), Buffer.from(SIGNATURE), Buffer.from('PROXY TCP4 '));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (begin, bytes) => {
        const header = readProxyHeader(Buffer.concat([begin, bytes]));
        if (header.kind === 'header') expect(header.end).toBeLessThanOrEqual(begin.length + bytes.length);
      }),
    );
  });
});
