import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate and its private key, as files. */
export interface IssuedCertificate {
  /** PEM: certificate, then key. Kafka's own PEM keystores look like this. */
  readonly file: string;
  readonly certificate: string;
  readonly key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** A certificate authority of a test's own, made by openssl in a folder of its own. */
export class CertificateAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-ca-'));
  /** The CA's certificate, PEM. */
  readonly file = join(this.folder, 'ca.pem');
  readonly #key = join(this.folder, 'ca.key');

  constructor(name = 'Test CA') {
    openssl(
      'req',
      '-x509',
      ...KEY,
      '-nodes',
      '-keyout',
      this.#key,
      '-out',
      this.file,
      '-subj',
      `/CN=${name}`,
      '-days',
      '3',
    );
  }

  /** Issues a certificate. `subjectAltName` as openssl writes it, e.g. `IP:127.0.0.1`. */
  issue(
    name: string,
    options: { subjectAltName?: string; days?: number; password?: string } = {},
  ): IssuedCertificate {
    const path = (suffix: string): string => join(this.folder, `${name}.${suffix}`);
    const extensions = path('ext');
    writeFileSync(extensions, `subjectAltName=${options.subjectAltName ?? `DNS:${name}`}\n`);
    const protect = options.password === undefined ? ['-nodes'] : ['-passout', `pass:${options.password}`];
    openssl('req', ...KEY, ...protect, '-keyout', path('key'), '-out', path('csr'), '-subj', `/CN=${name}`);
    const days = String(options.days ?? 3);
    const signing = ['-CA', this.file, '-CAkey', this.#key, '-CAcreateserial', '-extfile', extensions];
    openssl('x509', '-req', '-in', path('csr'), ...signing, '-days', days, '-out', path('crt'));
    const certificate = readFileSync(path('crt'), 'utf8');
    const key = readFileSync(path('key'), 'utf8');
    writeFileSync(path('pem'), certificate + key);
    return { file: path('pem'), certificate, key };
  }

  /** A PKCS12 keystore of an issued certificate. */
  pkcs12({ file }: IssuedCertificate, password: string): string {
    const store = file.replace(/\.pem$/, '.p12');
    openssl('pkcs12', '-export', '-in', file, '-out', store, '-passout', `pass:${password}`);
    return store;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
