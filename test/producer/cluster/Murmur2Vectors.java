import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Random;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

/**
 * Prints the test vectors of murmur2-vectors.tsv: key as hex, murmur2, and its partition of 7 and of 1000, all by
 * Kafka's own classes. Run with Kafka's jars:
 *
 *   java -cp '<jars>/*' test/producer/Murmur2Vectors.java > test/producer/murmur2-vectors.tsv
 */
public class Murmur2Vectors {
  public static void main(String[] args) {
    Random random = new Random(4);
    for (int length = 0; length < 70; length++) {
      for (int i = 0; i < (length == 0 ? 1 : 30); i++) {
        byte[] key = new byte[length];
        random.nextBytes(key);
        print(key);
      }
    }
    for (int i = 0; i < 1000; i++) print(("device-" + i).getBytes(StandardCharsets.UTF_8));
    for (int i = 0; i < 20; i++) {
      byte[] key = new byte[200 + random.nextInt(400)];
      random.nextBytes(key);
      print(key);
    }
  }

  private static void print(byte[] key) {
    System.out.println(HexFormat.of().formatHex(key) + "\t" + Utils.murmur2(key)
        + "\t" + BuiltInPartitioner.partitionForKey(key, 7)
        + "\t" + BuiltInPartitioner.partitionForKey(key, 1000));
  }
}
