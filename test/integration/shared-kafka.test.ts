import { expect, test } from 'vitest';

import { sharedKafka } from '../support/shared-kafka.ts';

test('files of the integration project share one real Kafka and its own tools', async () => {
  const kafka = sharedKafka();
  await kafka.tools.createTopic('shared-kafka-test', { partitions: 3 });
  expect([...(await kafka.tools.offsets('shared-kafka-test')).keys()]).toEqual([0, 1, 2]);
});
