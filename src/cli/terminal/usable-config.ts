import { describeFault } from '../../config/faults.ts';
import { loadConfig } from '../../config/load.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { SluiceError } from '../../core/errors.ts';
import type { ConfigFault } from '../../core/fault.ts';

/** Where the gateway of a configuration has its admin port, as this machine reaches it. */
export function adminUrl(file: string | undefined): string {
  const { host, port } = usableConfig(file).config.admin;
  const reached = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}

/**
 * The configuration for a command that only uses it.
 * @throws {SluiceError} `CONFIG_INVALID` with every fault on a line.
 */
export function usableConfig(file: string | undefined): LoadedConfig {
  const loaded = loadConfig(file, process.env);
  refuseFaults(loaded.faults);
  return loaded;
}

/** @throws {SluiceError} `CONFIG_INVALID` with every fault on a line, if there is one. */
export function refuseFaults(faults: readonly ConfigFault[]): void {
  if (faults.length === 0) return;
  const lines = faults.map((fault) => `  ${describeFault(fault)}`);
  throw new SluiceError('CONFIG_INVALID', `the configuration has faults:\n${lines.join('\n')}`);
}
