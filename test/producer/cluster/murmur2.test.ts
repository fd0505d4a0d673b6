import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { murmur2, partitionForKey } from '../../../src/producer/cluster/partitioner.ts';

/** Made by Kafka's own Java classes: see Murmur2Vectors.java. */
const vectors = readFileSync(join(import.meta.dirname, 'murmur2-vectors.tsv'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => line.split('\t'));

describe('the partition of a key', () => {
  it('the partition of a key is the one that Java would choose, for thousands of keys', () => {
    const wrong = vectors.filter(([hex, hash, of7, of1000]) => {
      const key = Buffer.from(hex!, 'hex');
      return (
        murmur2(key) !== Number(hash) ||
        partitionForKey(key, 7) !== Number(of7) ||
        partitionForKey(key, 1000) !== Number(of1000)
      );
    });
    expect(vectors.length).toBeGreaterThan(3_000);
    expect(wrong).toEqual([]);
  });
});
