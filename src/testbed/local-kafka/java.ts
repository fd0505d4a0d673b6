import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { LocalKafkaError, OTHER_WAYS } from './errors.ts';

/** Kafka 4's brokers need it (KIP-1013). */
const MINIMUM_JAVA = 17;

export interface ProgramRun {
  /** The exit status; null after a signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The Java that runs Kafka: JAVA_HOME's if that is set, the path's otherwise.
 * @throws LocalKafkaError KAFKA_JAVA_MISSING, KAFKA_JAVA_TOO_OLD
 */
export async function findJava(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const home = environment.JAVA_HOME;
  const java = home === undefined || home === '' ? 'java' : join(home, 'bin', 'java');
  const run = await runProgram(java, ['-version'], { environment }).catch((error: unknown) => {
    throw new LocalKafkaError(
      'KAFKA_JAVA_MISSING',
      `The local Kafka needs Java ${MINIMUM_JAVA} or newer, and ${java} can't be run`,
      `Install it (Debian: apt install openjdk-17-jre-headless; macOS: brew install openjdk), ${OTHER_WAYS}`,
      { cause: error },
    );
  });
  const version = javaMajorVersion(run.stderr + run.stdout);
  if (version === undefined || version < MINIMUM_JAVA) {
    throw new LocalKafkaError(
      'KAFKA_JAVA_TOO_OLD',
      `The local Kafka needs Java ${MINIMUM_JAVA} or newer, and ${java} is ` +
        (version === undefined ? `something else` : `version ${version}`),
      `Install a newer one and have JAVA_HOME or PATH lead to it, ${OTHER_WAYS}`,
    );
  }
  return java;
}

/** 17 from `openjdk version "17.0.15" 2025-04-15`, 8 from `java version "1.8.0_402"`. */
export function javaMajorVersion(banner: string): number | undefined {
  const found = /version "(?:1\.)?(\d+)/.exec(banner);
  return found === null ? undefined : Number(found[1]);
}

/** Runs a program to its end. Rejects if it can't be started, not for its exit status. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { environment?: NodeJS.ProcessEnv; onOutput?: (text: string) => void; timeoutMs?: number } = {},
): Promise<ProgramRun> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: options.environment ?? process.env,
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: 'SIGKILL' }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    options.onOutput?.(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    options.onOutput?.(text);
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stdout, stderr };
}
