import { usableConfig } from './usable-config.ts';

/** Where the gateway of a configuration has its admin port, as this machine reaches it. */
export function adminUrl(file: string | undefined): string {
  const { host, port } = usableConfig(file).config.admin;
  const reached = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`;
}
