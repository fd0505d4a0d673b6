import { inject } from 'vitest';

import { KafkaTools } from './kafka-tools.ts';

/** What a test file needs to know of the shared broker; it crosses from vitest's process to its workers. */
interface SharedKafkaDescription {
  readonly java: string;
  readonly jarFolder: string;
  readonly bootstrapServers: string;
  readonly dataDir: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    sharedKafka: SharedKafkaDescription;
  }
}

/**
 * The one broker that all files of the integration project share. Each file creates topics of its own name;
 * nobody stops, pauses or reconfigures this Kafka.
 */
export function sharedKafka(): { readonly bootstrapServers: string; readonly tools: KafkaTools } {
  const { java, jarFolder, bootstrapServers, dataDir } = inject('sharedKafka');
  return { bootstrapServers, tools: new KafkaTools(java, jarFolder, bootstrapServers, [dataDir]) };
}
