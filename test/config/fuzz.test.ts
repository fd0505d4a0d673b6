import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeFault } from '../../src/config/faults.ts';
import { ConfigFolder, PROFILE } from './files.ts';

let home: ConfigFolder;
beforeAll(() => {
  home = new ConfigFolder();
});
afterAll(() => {
  home.remove();
});

const SOUND = `
mqtt: { listeners: [{ type: tcp, port: 1883 }], inflight.quota: 64 }
kafka:
  bootstrap.servers: a:1
  producer: { linger.ms: 5 }
  topics: { config: { retention.ms: 1 } }
profiles: devices
`;

/** Keys of ours with values of any kind. */
const key = fc.constantFrom(
  ...['mqtt', 'listeners', 'kafka', 'producer', 'topics', 'config', 'admin', 'port', 'linger', 'linger.ms'],
  ...['type', 'topic', 'decode', 'protobuf', 'device', 'metrics', 'simulate', 'signals', '__proto__', ''],
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, 0, -1, 1.5, true, 'text', '', 'a:1', '{x}'),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}));
const document = tree.map((value) => JSON.stringify(value));

function damaged(text: string): fc.Arbitrary<string> {
  return fc
    .array(
      fc.tuple(fc.nat(), fc.constantFrom('', '{', '}', '[', ']', ':', '-', '\n', ' ', '"', '*a', '&a', '\0')),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    .map((changes) => changes.reduce((rest, [at, put]) => splice(rest, at % (rest.length + 1), put), text));
}

function splice(text: string, at: number, put: string): string {
  return text.slice(0, at) + put + text.slice(at + 1);
}

test('whatever a person writes ends in faults, not in an exception or an endless search', () => {
  fc.assert(
    fc.property(
      fc.oneof(document, damaged(SOUND)),
      fc.oneof(document, damaged(PROFILE)),
      fc.dictionary(
        fc.tuple(key, key).map(([a, b]) => `SLUICE_${a}__${b}`.toUpperCase().replaceAll('.', '_')),
        fc.oneof(document, fc.constantFrom('1', 'x')),
        { maxKeys: 2 },
      ),
      (config, profile, environment) => {
        const loaded = home.load(config, { profiles: { 'p.yaml': profile }, environment });
        expect(loaded.config.mqtt.listeners.length).toBeGreaterThan(0);
        for (const fault of loaded.faults) expect(describeFault(fault)).toMatch(/: found .+, expected .+/s);
      },
    ),
    { numRuns: 400 },
  );
});
