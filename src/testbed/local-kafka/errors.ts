import { SluiceError } from '../../core/errors.ts';

export type LocalKafkaErrorCode =
  | 'KAFKA_JAVA_MISSING'
  | 'KAFKA_JAVA_TOO_OLD'
  | 'KAFKA_MAVEN_MISSING'
  | 'KAFKA_DOWNLOAD_FAILED'
  | 'KAFKA_PLATFORM_UNSUPPORTED'
  | 'KAFKA_PORT_IN_USE'
  | 'KAFKA_DATA_FOLDER_IN_USE'
  | 'KAFKA_DATA_FOLDER_DAMAGED'
  | 'KAFKA_FORMAT_FAILED'
  | 'KAFKA_START_FAILED'
  | 'KAFKA_STOPPED';

/** The local Kafka can't be had: what is wrong, and what a person can do about it. */
export class LocalKafkaError extends SluiceError {
  declare readonly code: LocalKafkaErrorCode;

  constructor(code: LocalKafkaErrorCode, problem: string, remedy: string, options?: ErrorOptions) {
    super(code, `${problem}. ${remedy}`, options);
  }
}

/** It was started and does not serve; `log` is where to look for the reason. */
export function startFailed(what: string, log: string): LocalKafkaError {
  return new LocalKafkaError('KAFKA_START_FAILED', `The local Kafka ${what}`, `Its log is ${log}`);
}

/** The end of every remedy for something that this machine lacks. */
export const OTHER_WAYS =
  'or use a Kafka that you have (set kafka.bootstrap.servers), or run everything in containers (docker compose up)';
