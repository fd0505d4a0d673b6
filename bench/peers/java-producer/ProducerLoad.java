import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own producer on its callback path, a record object each. Arguments: brokers, topic, milliseconds of
 * warm-up and of the measurement, bytes of a value, linger.ms, batch.size, the file that values are cut from. Prints its figures as JSON.
 */
public final class ProducerLoad {
  private static final int KEYS = 1_000;
  private static final AtomicLong ERRORS = new AtomicLong();
  private static final Callback DONE = (metadata, error) -> {
    if (error != null) ERRORS.incrementAndGet();
  };

  public static void main(String[] args) throws Exception {
    final String topic = args[1];
    final long warmupMs = Long.parseLong(args[2]);
    final long measuredMs = Long.parseLong(args[3]);
    final int valueBytes = Integer.parseInt(args[4]);
    final byte[] pool = Files.readAllBytes(Path.of(args[7]));
    final byte[][] keys = new byte[KEYS][];
    for (int i = 0; i < KEYS; i++) keys[i] = ("device-" + i).getBytes();

    try (var producer = new KafkaProducer<>(
        Map.<String, Object>of(
            "bootstrap.servers", args[0],
            "acks", "all",
            "enable.idempotence", true,
            "compression.type", "lz4",
            "linger.ms", args[5],
            "batch.size", args[6]),
        new ByteArraySerializer(),
        new ByteArraySerializer())) {
      final long warmedUp = send(producer, topic, 0, warmupMs, keys, pool, valueBytes);
      ERRORS.set(0);
      final long startedAt = System.nanoTime();
      final long cpuBefore = cpuNanos();
      final long next = send(producer, topic, warmedUp, measuredMs, keys, pool, valueBytes);
      final long cpu = cpuNanos() - cpuBefore;
      final long elapsed = System.nanoTime() - startedAt;
      System.out.printf(
          "{\"warmedUp\": %d, \"records\": %d, \"elapsedMs\": %d, \"cpuMicros\": %d, \"errors\": %d}%n",
          warmedUp, next - warmedUp, elapsed / 1_000_000, cpu / 1_000, ERRORS.get());
    }
  }

  /** Sends for so long, with a look at the clock every thousand records; returns the number of the next record. */
  private static long send(
      KafkaProducer<byte[], byte[]> producer,
      String topic,
      long from,
      long forMs,
      byte[][] keys,
      byte[] pool,
      int valueBytes) {
    final long endAt = System.nanoTime() + forMs * 1_000_000;
    long i = from;
    for (; i % 1_000 != 0 || System.nanoTime() < endAt; i++) {
      final byte[] value = new byte[valueBytes];
      System.arraycopy(pool, (int) ((i * 7_919) % (pool.length - valueBytes)), value, 0, valueBytes);
      ByteBuffer.wrap(value).putDouble(0, (double) i);
      producer.send(new ProducerRecord<>(topic, keys[(int) (i % KEYS)], value), DONE);
    }
    producer.flush();
    return i;
  }

  /** User and system time of all threads: the compiler's and the garbage collector's too. */
  private static long cpuNanos() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }
}
