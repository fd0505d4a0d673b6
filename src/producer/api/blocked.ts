import { MaxBlockTimeoutError, type ProducerError } from '../errors.ts';
import type { SendLine, WaitingSend } from './send-line.ts';

interface BlockedContext {
  readonly maxBlockMs: number;
  readonly bufferMemoryBytes: number;
  /** What is known to be wrong with a topic. */
  readonly topicFault: (topic: string) => ProducerError | undefined;
  /** Why no broker can be reached. */
  readonly lastFailure: () => string | undefined;
}

/** Why a send at the head of its line has waited for max.block.ms: what it lacks, and why that is not there. */
export function blocked<K, V>(
  { topic, waitsFor }: SendLine<K, V>,
  { serialized }: WaitingSend<K, V>,
  { maxBlockMs, bufferMemoryBytes, topicFault, lastFailure }: BlockedContext,
): MaxBlockTimeoutError {
  const within = `within max.block.ms (${maxBlockMs} ms)`;
  if (serialized === undefined) {
    const message = `a serializer was not ready for a record for topic '${topic}' ${within}`;
    return new MaxBlockTimeoutError('serializer', message);
  }
  if (waitsFor === 'metadata') {
    const cause = topicFault(topic);
    const why = cause?.message ?? lastFailure() ?? 'no broker has told us about it';
    const message = `a record for topic '${topic}' could not be taken ${within}: ${why}`;
    return new MaxBlockTimeoutError('metadata', message, cause === undefined ? undefined : { cause });
  }
  const room = waitsFor === 'partition' ? "its partition's share of buffer.memory" : 'buffer.memory';
  return new MaxBlockTimeoutError(
    'memory',
    `no room for a record for topic '${topic}' in ${room} (${bufferMemoryBytes} bytes in all) ${within}: ` +
      `Kafka takes records more slowly than they are sent, or not at all`,
  );
}
