import type { WireState } from './tcp-proxy.ts';

export type ScenarioName = 'kafka-down' | 'kafka-slow' | 'crash' | 'disk-full' | 'reconnect-storm';

/** What a scenario can do to the gateway under test. */
export interface Stage {
  /** How long the fault is to last. */
  readonly faultMs: number;
  readonly kafkaWire: { setState(state: WireState): void };
  readonly deviceWire: { setState(state: WireState): void; resetAll(): void };
  /** kill -9; resolves when the process is gone. */
  readonly killGateway: () => Promise<void>;
  /** Resolves when it accepts devices again. */
  readonly startGateway: () => Promise<void>;
  /** @throws when the drill is interrupted, or the gateway ends by itself */
  readonly pause: (delayMs: number) => Promise<void>;
  /** A line of the report, with the time. */
  readonly note: (text: string) => void;
}

export interface Scenario {
  readonly name: ScenarioName;
  /** What happens, in one line. */
  readonly title: string;
  /** What the gateway is expected to do about it. */
  readonly expectation: string;
  /** Its own journal is so small that it fills. */
  readonly needsSmallJournal?: true;
  /** Does the damage for `faultMs`, and ends with everything mended. */
  readonly fault: (stage: Stage) => Promise<void>;
}

const KILLS = 3;
const STORMS = 3;
/** Every device has begun to connect again by then: the fleet's own pause is at most 1.5 s. */
const GATHER_MS = 2_000;
const SLOW: WireState = { kind: 'slow', delayMs: 750, bytesPerSecond: 64 * 1024 };

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'kafka-down',
    title: 'Kafka is away: refused, then frozen, then silent',
    expectation:
      'Nothing is acknowledged that is not safe, devices stay connected, and everything flows when Kafka is back. ' +
      'A connection that went silent is noticed after request.timeout.ms, which bounds the time to drain.',
    fault: async ({ faultMs, kafkaWire, pause, note }) => {
      note('connections to Kafka are reset, and so are new ones');
      kafkaWire.setState({ kind: 'refused' });
      await pause(faultMs / 3);
      note('Kafka is frozen: it accepts connections and answers nothing');
      kafkaWire.setState({ kind: 'held' });
      await pause(faultMs / 3);
      note('the network swallows everything; connections that lose bytes stay dead and open');
      kafkaWire.setState({ kind: 'silent' });
      await pause(faultMs / 3);
      note('Kafka can be reached again');
      kafkaWire.setState({ kind: 'open' });
    },
  },
  {
    name: 'kafka-slow',
    title: 'Kafka is slow: 750 ms each way, 64 KiB/s a connection',
    expectation:
      'PUBACKs follow Kafka, however long it takes. Nothing is given up, and nothing is sent twice.',
    fault: async ({ faultMs, kafkaWire, pause, note }) => {
      note('every byte to and from Kafka takes 750 ms, and a connection carries 64 KiB/s');
      kafkaWire.setState(SLOW);
      await pause(faultMs);
      note('Kafka is as fast as ever');
      kafkaWire.setState({ kind: 'open' });
    },
  },
  {
    name: 'crash',
    title: `the gateway is killed with kill -9 and started again, ${KILLS} times`,
    expectation:
      'What was acknowledged is in Kafka. What was not, the devices send again: it may be there twice, never not at all.',
    fault: async ({ faultMs, killGateway, startGateway, pause, note }) => {
      for (let kill = 1; kill <= KILLS; kill++) {
        note(`kill -9 of the gateway (${kill} of ${KILLS})`);
        await killGateway();
        await startGateway();
        note('it runs again');
        if (kill < KILLS) await pause(faultMs / KILLS);
      }
    },
  },
  {
    name: 'disk-full',
    title: 'Kafka is away until the journal is full',
    expectation:
      'Devices are acknowledged until the journal is full, and wait from then on. Nothing is dropped, and ' +
      'everything flows when Kafka is back.',
    needsSmallJournal: true,
    fault: async ({ faultMs, kafkaWire, pause, note }) => {
      note('connections to Kafka are reset, and so are new ones');
      kafkaWire.setState({ kind: 'refused' });
      await pause(faultMs);
      note('Kafka can be reached again');
      kafkaWire.setState({ kind: 'open' });
    },
  },
  {
    name: 'reconnect-storm',
    title: `all devices lose their connections and come back in one instant, ${STORMS} times`,
    expectation:
      'Every device is let in again, and what it had not been acknowledged is taken from it again: it may be in ' +
      'Kafka twice, never not at all, and in order.',
    fault: async ({ faultMs, deviceWire, pause, note }) => {
      for (let storm = 1; storm <= STORMS; storm++) {
        note(`every device's connection is reset (${storm} of ${STORMS}); new ones are held back`);
        deviceWire.setState({ kind: 'held' });
        deviceWire.resetAll();
        await pause(GATHER_MS);
        note('all of them connect at once');
        deviceWire.setState({ kind: 'open' });
        await pause(Math.max(0, faultMs / STORMS - GATHER_MS));
      }
    },
  },
];
