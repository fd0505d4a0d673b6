/**
 * `npm run bench:commands`: commands for ten thousand persistent sessions, first while all of their devices are away,
 * then while all of them are there. What a command costs the gateway, how many it takes a second, and its memory.
 */
import { Command } from 'commander';
import { wholeNumber } from '../src/cli/terminal/option-values.ts';
import { startKafka } from '../test/support/kafka.ts';
import { TestGateway } from '../test/support/gateway.ts';
import { foreignProducer } from '../test/support/plain-producer.ts';
import { until } from '../test/support/until.ts';
import { Crowd } from './commands/crowd.ts';
import { Phases } from './commands/phases.ts';
import { describeMachine, machine } from './harness/machine.ts';

const TIMEOUT_MS = 300_000;

const config = `
kafka: { topics: { partitions: 8 } }
commands:
  - { topic: commands, mqtt.topic: 'devices/{device}/commands' }
`;

interface CommandsArguments {
  readonly sessions: number;
  readonly each: number;
}

await new Command('commands')
  .description('commands for persistent sessions: away, coming back, and there')
  .option('-n, --sessions <number>', 'devices with a persistent session each', wholeNumber(1), 10_000)
  .option('-e, --each <number>', 'commands for each device, once away and once there', wholeNumber(1), 5)
  .action(main)
  .parseAsync();

async function main({ sessions, each }: CommandsArguments): Promise<void> {
  const at = machine();
  const kafka = await startKafka();
  const crowd = new Crowd(sessions);
  let gateway: TestGateway | undefined;
  try {
    gateway = await TestGateway.start({ bootstrapServers: kafka.bootstrapServers, config });
    await gateway.untilReady();
    const phases = new Phases(gateway);
    const count = sessions * each;
    const send = (): Promise<void> => command(kafka.bootstrapServers, sessions, each);
    const ended = async (): Promise<number> =>
      (await phases.metric('sluice_commands_stored_total')) +
      (await phases.metric('sluice_commands_delivered_total'));

    await phases.run('connect, subscribe, leave', sessions, async () => {
      await crowd.connects(gateway as TestGateway, 'subscribing');
      await crowd.leaves();
    });
    await phases.run('commands for devices that are away', count, async () => {
      await send();
      await until(async () => (await ended()) === count, { timeoutMs: TIMEOUT_MS, what: 'stored commands' });
    });
    await phases.run('the devices come back for them', count, async () => {
      await crowd.connects(gateway as TestGateway, 'returning');
      await crowd.has(count);
    });
    await phases.run('commands for devices that are there', count, async () => {
      await send();
      await crowd.has(2 * count);
      await until(async () => (await ended()) === 2 * count, { timeoutMs: TIMEOUT_MS, what: 'the rest' });
    });
    process.stdout.write(`${phases.table()}\n${describeMachine(at)}\n`);
  } finally {
    await crowd.leaves();
    await gateway?.stop();
    await kafka.stop();
  }
}

/** So many for each device, a device's one after the other among all others'. */
async function command(bootstrapServers: string, sessions: number, each: number): Promise<void> {
  const producer = await foreignProducer(bootstrapServers);
  for (let first = 0; first < sessions * each; first += 1_000) {
    const length = Math.min(1_000, sessions * each - first);
    const messages = Array.from({ length }, (_, index) => {
      const number = first + index;
      return { key: `device-${number % sessions}`, value: `{"set":${number},"unit":"Cel","for":"a while"}` };
    });
    await producer.send({ topic: 'commands', acks: -1, messages });
  }
  await producer.disconnect();
}
