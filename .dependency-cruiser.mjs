/*
 * Who may know whom in src/: `npm run lint:imports`. Imports of types count like any other.
 *
 *   core     <- everybody
 *   stages   <- assembly, features, testbed, cli, gateway.ts; a stage knows core/ and itself
 *   assembly <- features, testbed, cli, gateway.ts
 *   features <- cli, gateway.ts
 *   testbed  <- cli; gateway.ts for the local Kafka that it may be asked to start
 */
const STAGES = ['config', 'decode', 'delivery', 'journal', 'kafka', 'mqtt', 'producer', 'route'];

/** Where a stage may look besides core/ and itself. */
const ALLIES = {
  // One library, which knows nothing of MQTT.
  kafka: ['producer'],
  producer: ['kafka'],
  // The keys below kafka: are the producer's own.
  config: ['producer'],
  // One format for files that are appended to.
  journal: ['durable-log'],
  mqtt: ['durable-log'],
};

/** A package, and the only places that may import it. */
const DOORS = {
  '@msgpack/msgpack': ['src/decode/'],
  '@node-rs/crc32': ['src/producer/', 'src/kafka/'],
  '@platformatic/kafka': [],
  aedes: ['src/mqtt/broker/local-broker.ts'],
  avsc: ['src/decode/', 'src/producer/serializers/'],
  cborg: ['src/decode/'],
  commander: ['src/cli/', 'src/features/', 'src/testbed/'],
  fastify: ['src/admin/'],
  kafkajs: ['src/kafka/clients/kafkajs.ts'],
  'lz4-napi': ['src/producer/', 'src/kafka/'],
  mqtt: ['src/testbed/fleet/'],
  pino: ['src/cli/'],
  'prom-client': ['src/admin/'],
  protobufjs: ['src/decode/'],
  re2js: ['src/decode/'],
  snappy: ['src/producer/', 'src/kafka/'],
  thrift: ['src/decode/', 'src/producer/serializers/'],
  yaml: ['src/config/'],
  zod: ['src/config/'],
};

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
const packagePath = (name) => `^node_modules/${escaped(name)}/`;

export default {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'core-knows-itself-and-node',
      severity: 'error',
      from: { path: '^src/core/' },
      to: { pathNot: '^src/core/', dependencyTypesNot: ['core'] },
    },
    ...[...STAGES, 'admin', 'durable-log'].map((stage) => ({
      name: `${stage}-knows-core-and-itself`,
      severity: 'error',
      from: { path: `^src/${stage}/` },
      to: { path: '^src/', pathNot: `^src/(${['core', stage, ...(ALLIES[stage] ?? [])].join('|')})/` },
    })),
    {
      name: 'assembly-joins-stages',
      severity: 'error',
      from: { path: '^src/assembly/' },
      to: { path: '^src/(gateway\\.ts|cli/|features/|testbed/)' },
    },
    {
      name: 'a-feature-knows-no-command-but-its-own',
      severity: 'error',
      from: { path: '^src/(features|testbed)/' },
      to: { path: '^src/(gateway\\.ts|cli/(?!terminal/))' },
    },
    {
      name: 'the-test-bed-is-no-part-of-a-gateway',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(testbed|cli)/' },
      to: { path: '^src/testbed/', pathNot: '^src/testbed/local-kafka/' },
    },
    {
      name: 'kafkajs-stands-behind-two-ports',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/kafka/clients/(admin|consumer)-client\\.ts$' },
      to: { path: '^src/kafka/clients/kafkajs\\.ts$' },
    },
    ...Object.entries(DOORS).map(([name, places]) => ({
      name: `door-to-${name}`,
      severity: 'error',
      from: { path: '^src/', ...(places.length > 0 && { pathNot: places.map((place) => `^${place}`) }) },
      to: { path: packagePath(name) },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    combinedDependencies: false,
  },
};
