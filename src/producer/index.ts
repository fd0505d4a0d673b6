// The public entry of the producer library: `import { Producer, ... } from 'sluice/producer'`.
export {
  StandaloneProducer as Producer,
  type StandaloneProducerOptions as ProducerOptions,
} from './api/standalone-producer.ts';
export type { Refusal, UndeliveredRecords } from './producer.ts';
export type { RawProducerConfig as ProducerSettings } from './config/config.ts';
export { ProducerRecord } from './api/producer-record.ts';
export {
  encodeHeaders,
  NO_HEADERS,
  type EncodedHeaders,
  type Header,
  type RecordMetadata,
  type SerializedRecord,
} from '../core/record.ts';
export type { BatchRecord, BatchResult, RecordTarget } from './cluster/record-target.ts';
export type { Bottleneck } from './batches/bottleneck.ts';
export type { Logger } from '../core/logger.ts';
export type { SendCallback } from './api/sends.ts';
export { RoundRobinPartitioner, type Partitioner, type PartitionView } from './cluster/partitioner.ts';
export type { KafkaMetrics } from './metrics/kafka-metrics.ts';
export { Mistake } from './api/mistakes.ts';

export { SluiceError } from '../core/errors.ts';
export {
  BrokerUnavailableError,
  DeliveryTimeoutError,
  InvalidRecordError,
  MaxBlockTimeoutError,
  PartitionGoneError,
  ProducerClosedError,
  ProducerError,
  RecordTooLargeError,
  TimeoutError,
  UnsupportedBrokerError,
} from './errors.ts';
export { KafkaError } from './cluster/kafka-errors.ts';

export type { Deserializer, Serializer } from './serializers/serializer.ts';
export { SerializationError } from './serializers/errors.ts';
export { StringDeserializer, StringSerializer } from './serializers/string.ts';
export { ByteArrayDeserializer, ByteArraySerializer } from './serializers/byte-array.ts';
export {
  IntegerDeserializer,
  IntegerSerializer,
  LongDeserializer,
  LongSerializer,
  SafeLongDeserializer,
  ShortDeserializer,
  ShortSerializer,
} from './serializers/integers.ts';
export {
  DoubleDeserializer,
  DoubleSerializer,
  FloatDeserializer,
  FloatSerializer,
} from './serializers/floats.ts';
export { UUIDDeserializer, UUIDSerializer } from './serializers/uuid.ts';
export { JsonDeserializer, JsonSerializer } from './serializers/json.ts';
export { ProtobufDeserializer, ProtobufSerializer } from './serializers/protobuf.ts';
export { AvroDeserializer, AvroSerializer } from './serializers/avro.ts';
export { ThriftDeserializer, ThriftSerializer } from './serializers/thrift.ts';
export { SelectingSerializer } from './serializers/selecting.ts';
export { SchemaRegistry, type SchemaRegistryOptions } from './schema-registry/schema-registry.ts';
export {
  recordNameStrategy,
  topicNameStrategy,
  topicRecordNameStrategy,
  type SubjectNameStrategy,
} from './schema-registry/schema.ts';
export { SchemaRegistryError } from './schema-registry/errors.ts';
