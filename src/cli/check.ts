import { Command } from 'commander';
import { drawBlueprint, type Blueprint } from '../assembly/blueprint.ts';
import { listenerTlsFaults } from '../assembly/mqtt-edge.ts';
import { describeFault, describeWarning } from '../config/faults.ts';
import { printedConfig, printedProfile } from '../config/print.ts';
import { SluiceError } from '../core/errors.ts';

const EXAMPLES = `
Examples:
  sluice check
  sluice check --config /etc/sluice/sluice.yaml
  sluice check --print
  sluice check --print env-sensor

Exits with 1 if there is a fault. A warning is legal, and most probably a mistake.
`;

interface CheckOptions {
  readonly config?: string;
  readonly print?: true | string;
}

/** `sluice check`: every fault of the configuration at once. */
export function checkCommand(): Command {
  return new Command('check')
    .description('report every fault in the configuration and the device profiles')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .option('-p, --print [device type]', 'print what is in force and where it comes from, as YAML')
    .addHelpText('after', EXAMPLES)
    .action(check);
}

function check({ config, print }: CheckOptions): void {
  const { file, warnings, blueprint, ...drawn } = drawBlueprint(config, process.env);
  const { loaded } = blueprint;
  const faults = loaded.inOrder([...drawn.faults, ...listenerTlsFaults(loaded)]);
  // With --print, everything but faults is YAML.
  const prefix = print === undefined || faults.length > 0 ? '' : '# ';
  const tell = (line: string): void => void process.stdout.write(`${prefix}${line}\n`);
  for (const warning of warnings) tell(describeWarning(warning));
  for (const fault of faults) tell(describeFault(fault));
  if (faults.length > 0) {
    process.exitCode = 1;
    return;
  }
  const types = blueprint.profiles.map(({ type }) => type).join(', ');
  tell(`${file} and ${blueprint.profiles.length} device profiles are sound: ${types}`);
  if (print !== undefined) process.stdout.write(printed(blueprint, print));
}

/** @throws {SluiceError} `DEVICE_TYPE_UNKNOWN` */
function printed({ loaded, producer, profiles }: Blueprint, what: true | string): string {
  if (what === true) return printedConfig(loaded, producer);
  const profile = profiles.find(({ type }) => type === what);
  const text = profile && printedProfile(loaded, profile);
  if (text !== undefined) return text;
  const types = profiles.map(({ type }) => type).join(', ');
  const problem = `no profile has the device type ${what}, expected one of ${types}`;
  throw new SluiceError('DEVICE_TYPE_UNKNOWN', problem);
}
