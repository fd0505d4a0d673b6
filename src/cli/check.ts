import { Command } from 'commander';
import { drawBlueprint } from '../assembly/blueprint.ts';
import { listenerTlsFaults } from '../assembly/mqtt-edge.ts';
import { describeFault, describeWarning } from '../config/faults.ts';

const EXAMPLES = `
Examples:
  sluice check
  sluice check --config /etc/sluice/sluice.yaml

Exits with 1 if there is a fault. A warning is legal, and most probably a mistake.
`;

/** `sluice check`: every fault of the configuration at once. */
export function checkCommand(): Command {
  return new Command('check')
    .description('report every fault in the configuration and the device profiles')
    .option('-c, --config <file>', 'configuration file (default: sluice.yaml)')
    .addHelpText('after', EXAMPLES)
    .action((options: { config?: string }) => {
      const { file, warnings, blueprint, ...drawn } = drawBlueprint(options.config, process.env);
      const { loaded } = blueprint;
      const faults = loaded.inOrder([...drawn.faults, ...listenerTlsFaults(loaded)]);
      process.stdout.write(warnings.map((warning) => `${describeWarning(warning)}\n`).join(''));
      if (faults.length > 0) {
        process.stdout.write(faults.map((fault) => `${describeFault(fault)}\n`).join(''));
        process.exitCode = 1;
        return;
      }
      const types = blueprint.profiles.map(({ type }) => type).join(', ');
      process.stdout.write(`${file} and ${blueprint.profiles.length} device profiles are sound: ${types}\n`);
    });
}
