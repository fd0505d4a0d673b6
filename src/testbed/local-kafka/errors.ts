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

/** The end of every remedy for something that this machine lacks. */
export const OTHER_WAYS =
  'or use a Kafka that you have (set kafka.bootstrap.servers), or run everything in containers (docker compose up)';
