import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';

import { CertificateAuthority } from './certificates.ts';

/** A TLS server whose certificate nobody trusts, and which counts who comes. */
export class UntrustedServer {
  connections = 0;
  readonly #ca = new CertificateAuthority();
  readonly #server;

  static async start(): Promise<UntrustedServer> {
    const untrusted = new UntrustedServer();
    await new Promise<void>((resolve) => untrusted.#server.listen(0, '127.0.0.1', resolve));
    return untrusted;
  }

  private constructor() {
    const { file } = this.#ca.issue('broker', { subjectAltName: 'IP:127.0.0.1' });
    const pem = readFileSync(file, 'utf8');
    this.#server = createServer({ cert: pem, key: pem });
    this.#server.on('connection', () => this.connections++).on('tlsClientError', () => {});
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#ca.remove();
  }
}
