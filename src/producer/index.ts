// The public entry of the producer library: `import { Producer, ... } from 'sluice/producer'`.
export {
  ProducerRecord,
  StandaloneProducer as Producer,
  type StandaloneProducerOptions as ProducerOptions,
} from './api/standalone-producer.ts';
export type { Refusal, UndeliveredRecords } from './producer.ts';
export type { RawProducerConfig as ProducerSettings } from './config/config.ts';
export {
  encodeHeaders,
  NO_HEADERS,
  type EncodedHeaders,
  type Header,
  type RecordMetadata,
  type SerializedRecord,
} from '../core/record.ts';
export type { BatchRecord, BatchResult, RecordTarget } from './batches/producer-batch.ts';
export type { Bottleneck } from './batches/bottleneck.ts';
export type { Logger } from '../core/logger.ts';
export type { SendCallback } from './api/send-results.ts';
export { RoundRobinPartitioner, type Partitioner, type PartitionView } from './cluster/partitioner.ts';
export type { KafkaMetrics } from './metrics.ts';
export { Mistake } from './api/mistakes.ts';

export { SluiceError } from '../core/errors.ts';
export * from './errors.ts';
export { KafkaError } from './cluster/kafka-errors.ts';

export {
  ByteArrayDeserializer,
  ByteArraySerializer,
  SelectingSerializer,
  SerializationError,
  type Deserializer,
  type Serializer,
} from './serializers/serializer.ts';
export {
  StringDeserializer,
  StringSerializer,
  UUIDDeserializer,
  UUIDSerializer,
} from './serializers/text.ts';
export * from './serializers/numbers.ts';
export { JsonDeserializer, JsonSerializer } from './serializers/json.ts';
export { ProtobufDeserializer, ProtobufSerializer } from './serializers/protobuf.ts';
export { AvroDeserializer, AvroSerializer } from './serializers/avro.ts';
export { ThriftDeserializer, ThriftSerializer } from './serializers/thrift.ts';
export { SchemaRegistry, type SchemaRegistryOptions } from './schema-registry/schema-registry.ts';
export {
  recordNameStrategy,
  topicNameStrategy,
  topicRecordNameStrategy,
  type SubjectNameStrategy,
} from './schema-registry/schema.ts';
export { SchemaRegistryError } from './schema-registry/requester.ts';
