import { access, constants, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { kafkaSecurity } from '../../assembly/blueprint.ts';
import { DrillFolder, removeDeadDrills } from './drill-folder.ts';
import { openGround, type DrillGround } from './drill-ground.ts';
import { LiveSite } from './live-site.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { systemClock } from '../../core/clock.ts';
import { CONTRACTS, contractsThat, type ContractName } from '../../core/contract.ts';
import { silentLogger } from '../../core/logger.ts';
import { SluiceError, errorMessage } from '../../core/errors.ts';
import { Drill, DrillError } from './drill.ts';
import { faultsOf, type DrillResult, type DrillSetting } from './report/drill-result.ts';
import { htmlReport } from './report/html-report.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { textReport } from './report/text-report.ts';
import { LiveLine, count } from '../../cli/terminal/terminal-text.ts';
import { wholeNumber } from '../../cli/terminal/option-values.ts';
import { packageFacts } from '../../cli/terminal/package-facts.ts';
import { processLogger } from '../../cli/terminal/process-logger.ts';
import { refuseFaults, usableConfig } from '../../cli/terminal/usable-config.ts';

interface DrillArguments {
  readonly scenario: string;
  readonly devices?: number;
  readonly rate: number;
  readonly seconds: number;
  readonly contract: ContractName;
  readonly report?: string;
  readonly config?: string;
}

const EXAMPLES = `
Scenarios:
${SCENARIOS.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join('\n')}

Examples:
  sluice drill                                              Kafka goes away for 30 s
  sluice drill --scenario all --report drill.html           everything, with charts
  sluice drill --scenario crash --devices 500 --rate 5000

A gateway of its own, a topic of its own, simulated devices; nothing of yours is touched, and all of it is removed
at the end. Exits with 0 if every promise was kept, 1 if one was broken, 2 if the drill could not be carried out.
`;

/** `sluice drill`: an operator's rehearsal of what may go wrong, with a verdict. */
export function drillCommand(): Command {
  return new Command('drill')
    .description('rehearse an outage on a scratch topic, and prove that nothing acknowledged is lost')
    .addOption(
      new Option('-s, --scenario <name>', 'what is to go wrong')
        .choices([...SCENARIOS.map(({ name }) => name), 'all'])
        .default('kafka-down'),
    )
    .option(
      '-d, --devices <number>',
      'how many simulated devices (default: 100; 1,000 for reconnect-storm)',
      wholeNumber(1),
    )
    .option('-r, --rate <number>', 'messages a second, all devices together', wholeNumber(1), 1_000)
    .option('-t, --seconds <number>', 'how long the fault lasts', wholeNumber(1), 30)
    .addOption(
      new Option('--contract <name>', 'when devices are acknowledged')
        .choices(contractsThat(({ onReceipt }) => !onReceipt))
        .default('kafka'),
    )
    .option('--report <file>', 'write a report with charts, as one HTML file')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXAMPLES)
    .action(async (options: DrillArguments) => {
      const interrupted = new AbortController();
      onInterrupt(interrupted);
      try {
        process.exitCode = await drill(options, interrupted.signal);
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        process.stderr.write(`sluice: ${error.message}\n`);
        process.exitCode = 2;
      }
      // kafkajs has timers of its own that would keep a process alive that has nothing left to do.
      process.exit();
    });
}

/** The first SIGINT or SIGTERM ends the drill, which then tidies up; a later one doesn't wait for that. */
function onInterrupt(interrupted: AbortController): void {
  const onSignal = (): void => {
    if (interrupted.signal.aborted) process.exit(2);
    process.stderr.write('\n  interrupted: removing what the drill has made (Ctrl-C again: at once)\n');
    interrupted.abort(new DrillError('DRILL_INTERRUPTED', 'the drill was interrupted, and has no verdict'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
}

/** What all scenarios of one call share. */
interface Play {
  readonly options: DrillArguments;
  readonly loaded: LoadedConfig;
  readonly ground: DrillGround;
  readonly folder: DrillFolder;
  readonly signal: AbortSignal;
}

/** Resolves with the exit status. */
async function drill(options: DrillArguments, signal: AbortSignal): Promise<number> {
  const loaded = usableConfig(options.config);
  const { security, faults } = kafkaSecurity(loaded, process.env);
  refuseFaults(faults);
  const { report } = options;
  if (report !== undefined) await requireFolderOf(report);
  const folder = await DrillFolder.make();
  let ground: DrillGround | undefined;
  try {
    const onProgress = (line: string): void => void process.stderr.write(`  ${line}\n`);
    const logger = processLogger('error', 'auto');
    const own = { folder: folder.path, clock: systemClock, logger, onProgress };
    ground = await openGround({ loaded, security, ...own });
    const { clusterId, client, admin, isOwn } = ground;
    if (!isOwn) await folder.noteCluster({ id: clusterId, bootstrapServers: client.bootstrapServers });
    for (const line of await removeDeadDrills(clusterId, admin, folder.path)) onProgress(line);
    const facts = factsOf(ground);
    const results: DrillResult[] = [];
    for (const scenario of SCENARIOS) {
      if (options.scenario !== 'all' && options.scenario !== scenario.name) continue;
      signal.throwIfAborted();
      const result = await play(scenario, { options, loaded, ground, folder, signal });
      process.stdout.write(`\n${textReport(result)}\n`);
      results.push(result);
      // After each: what is known is not lost with an interruption.
      if (report !== undefined) await writeFile(report, htmlReport({ facts, results }));
    }
    if (report !== undefined) process.stdout.write(`Report: ${report}\n`);
    return results.every((result) => faultsOf(result).length === 0) ? 0 : 1;
  } finally {
    await ground?.close();
    await folder.remove();
  }
}

/** Minutes of drills must not end with a report that can't be written. */
async function requireFolderOf(report: string): Promise<void> {
  const folder = dirname(resolve(report));
  try {
    await access(folder, constants.W_OK);
  } catch (error) {
    const reason = `the report can't be written into ${folder}: ${errorMessage(error)}`;
    throw new DrillError('DRILL_REPORT', reason, { cause: error });
  }
}

/** One scenario, on a site of its own. */
async function play(scenario: Scenario, shared: Play): Promise<DrillResult> {
  const { options, loaded, ground, folder, signal } = shared;
  const setting = settingOf(scenario, options, loaded);
  const line = new LiveLine(process.stderr);
  const say = (text: string): void => {
    line.clear();
    process.stderr.write(`  ${text}\n`);
  };
  say(`${scenario.name}: ${scenario.title}`);
  const site = await LiveSite.open({
    ground,
    loaded,
    setting,
    topic: folder.scratchTopic(scenario.name),
    folder: folder.path,
    clock: systemClock,
    logger: silentLogger,
    signal,
  });
  try {
    const drill = new Drill(site, {
      scenario,
      setting,
      clock: systemClock,
      onEvent: say,
      onSample: ({ sent, acknowledged, connected, inKafka }) => {
        const kafka = inKafka === undefined ? '-' : count(inKafka);
        line.show(
          `  ${count(connected)} devices  sent ${count(sent)}  acknowledged ${count(acknowledged)}  in Kafka ${kafka}`,
        );
      },
    });
    return await drill.run();
  } finally {
    line.clear();
    for (const problem of await site.close()) say(problem);
  }
}

const DEVICES = 100;
const STORM_DEVICES = 1_000;
/** Beyond what the gateway needs to give up a silent connection. */
const DRAIN_SLACK_MS = 60_000;
const REQUEST_TIMEOUT_MS = 30_000;

function settingOf(scenario: Scenario, options: DrillArguments, { config }: LoadedConfig): DrillSetting {
  // Without a journal there is nothing to fill.
  const asked = CONTRACTS[options.contract];
  const contract = scenario.needsSmallJournal && !asked.needsJournal ? CONTRACTS.journal : asked;
  const requestTimeoutMs = Number(config.kafka.producer['request.timeout.ms'] ?? REQUEST_TIMEOUT_MS);
  return {
    contract: contract.name,
    devices: options.devices ?? (scenario.name === 'reconnect-storm' ? STORM_DEVICES : DEVICES),
    rate: options.rate,
    faultMs: options.seconds * 1000,
    drainTimeoutMs: requestTimeoutMs + DRAIN_SLACK_MS,
    usesJournal: contract.needsJournal,
    checkpointMs: config.journal.checkpointIntervalMs,
    journalBytes: scenario.needsSmallJournal ? SMALL_JOURNAL_BYTES : undefined,
    paddingBytes: scenario.needsSmallJournal ? paddingBytes(options) : 0,
  };
}

/** The least that a journal can be. */
const SMALL_JOURNAL_BYTES = 1024 * 1024;
const MOST_PADDING_BYTES = 16_000;

/** What makes messages long enough for the journal to be full after half of the fault. */
function paddingBytes({ rate: perSecond, seconds }: DrillArguments): number {
  return Math.min(MOST_PADDING_BYTES, Math.ceil((2 * SMALL_JOURNAL_BYTES) / (perSecond * seconds)));
}

function factsOf({ description, security: { tls } }: DrillGround): string[] {
  const facts = [`Sluice ${packageFacts().version}, ${new Date().toISOString()}, Kafka ${description}`];
  if (tls !== undefined) {
    facts.push(
      'TLS to the brokers is made by the drill, with the configured certificates and checks of host names; ' +
        'between it and the gateway under test connections are in the clear, on loopback.',
    );
  }
  return facts;
}
