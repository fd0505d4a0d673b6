import type { LoadedConfig } from '../config/load.ts';
import type { ConfigWarning, KeyFault } from '../core/fault.ts';
import { adviseOn, adviseOnPartition, type ConfigAdvice } from '../producer/config/config-advice.ts';
import type { ProducerConfig } from '../producer/config/config-table.ts';

/** What our own headers and the envelope add to a payload, at most; bytes. */
const RECORD_OVERHEAD_BYTES = 1_024;
/** Kafka's default (message.max.bytes). */
const MAX_MESSAGE_BYTES = 1_048_588;

/** The common mistakes with a producer, in a configuration that is legal: worth a warning, and no fault. */
export function configWarnings(loaded: LoadedConfig, producer: ProducerConfig): ConfigWarning[] {
  const { mqtt, kafka } = loaded.config;
  const advice = adviseOn(producer, {
    largestRecordBytes: mqtt.maxPacketBytes + RECORD_OVERHEAD_BYTES,
    topicMaxMessageBytes: Number(kafka.topics.config['max.message.bytes'] ?? MAX_MESSAGE_BYTES),
  });
  const warnings = advice.map((one) =>
    warningOf(one, loaded.locate(faultOf(one, ['kafka', 'producer', one.setting]))),
  );
  for (const profile of loaded.profiles) {
    const { key } = profile.produce;
    if (typeof key !== 'string' || key.includes('{')) continue;
    const one = adviseOnPartition('key', `'${key}'`);
    warnings.push(warningOf(one, loaded.locate(faultOf(one, ['produce', 'key']), profile)));
  }
  return warnings;
}

function faultOf({ found, better }: ConfigAdvice, path: readonly string[]): KeyFault {
  return { path, found, expected: better };
}

function warningOf({ code }: ConfigAdvice, fault: Omit<ConfigWarning, 'code'>): ConfigWarning {
  return { ...fault, code };
}
