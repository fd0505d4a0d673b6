import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import org.apache.kafka.common.serialization.*;

/**
 * Prints the test vectors of serializer-vectors.tsv, all by Kafka's own serializers and deserializers: the name of
 * the format, the encoding if it is text, the data, and its bytes as hex. Text stands as the hex of its UTF-16 code
 * units, floats as the hex of their raw bits. `decode:` lines have bytes that no serializer wrote. Run with Kafka's
 * jars:
 *
 *   java -cp '<jars>/*' test/producer/serializers/vectors/SerializerVectors.java > test/producer/serializers/vectors/serializer-vectors.tsv
 */
public class SerializerVectors {
  static final String[] ENCODINGS = {"UTF-8", "US-ASCII", "ISO-8859-1", "UTF-16", "UTF-16BE", "UTF-16LE"};
  static final Random random = new Random(7);

  public static void main(String[] args) {
    shorts();
    integers();
    longs();
    floats();
    doubles();
    uuids();
    for (String encoding : ENCODINGS) strings(encoding);
  }

  static void shorts() {
    short[] edges = {0, 1, -1, 127, 128, 255, 256, Short.MIN_VALUE, Short.MAX_VALUE};
    for (short s : edges) print("short", "", "" + s, new ShortSerializer().serialize("t", s));
    for (int i = 0; i < 50; i++) {
      short s = (short) random.nextInt();
      print("short", "", "" + s, new ShortSerializer().serialize("t", s));
    }
  }

  static void integers() {
    int[] edges = {0, 1, -1, 127, 128, 65535, 65536, Integer.MIN_VALUE, Integer.MAX_VALUE};
    for (int n : edges) print("integer", "", "" + n, new IntegerSerializer().serialize("t", n));
    for (int i = 0; i < 50; i++) {
      int n = random.nextInt();
      print("integer", "", "" + n, new IntegerSerializer().serialize("t", n));
    }
  }

  static void longs() {
    long[] edges = {0, 1, -1, 1L << 31, 1L << 32, (1L << 53) - 1, 1L << 53, -(1L << 53), Long.MIN_VALUE, Long.MAX_VALUE};
    for (long n : edges) print("long", "", "" + n, new LongSerializer().serialize("t", n));
    for (int i = 0; i < 50; i++) {
      long n = random.nextLong();
      print("long", "", "" + n, new LongSerializer().serialize("t", n));
    }
  }

  static void floats() {
    float[] edges = {0f, -0f, 1f, -1.5f, 0.1f, Float.MIN_VALUE, Float.MAX_VALUE, Float.NaN,
        Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
    for (float f : edges) print("float", "", raw(f), new FloatSerializer().serialize("t", f));
    for (int i = 0; i < 50; i++) {
      float f = (float) random.nextGaussian() * 1e6f;
      print("float", "", raw(f), new FloatSerializer().serialize("t", f));
    }
  }

  static void doubles() {
    double[] edges = {0, -0.0, 1, -1.5, 0.1, Double.MIN_VALUE, Double.MAX_VALUE, Double.NaN,
        Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY};
    for (double d : edges) print("double", "", raw(d), new DoubleSerializer().serialize("t", d));
    for (int i = 0; i < 50; i++) {
      double d = random.nextGaussian() * 1e6;
      print("double", "", raw(d), new DoubleSerializer().serialize("t", d));
    }
  }

  static void uuids() {
    for (int i = 0; i < 20; i++) {
      UUID uuid = new UUID(random.nextLong(), random.nextLong());
      for (String encoding : new String[] {"UTF-8", "UTF-16"}) {
        UUIDSerializer serializer = new UUIDSerializer();
        serializer.configure(Map.of("serializer.encoding", encoding), false);
        print("uuid", encoding, uuid.toString(), serializer.serialize("t", uuid));
      }
    }
  }

  static void strings(String encoding) {
    StringSerializer serializer = new StringSerializer();
    serializer.configure(Map.of("serializer.encoding", encoding), false);
    StringDeserializer deserializer = new StringDeserializer();
    deserializer.configure(Map.of("deserializer.encoding", encoding), false);
    String[] edges = {"", "a", "device-1", "\0", "Grüße", "\u00ff\u0100", "日本", "😀", "a😀b", "\ud83d", "\ude00",
        "a\ud83d", "\ude00\ud83d", "\ufeff", "\ufeffx", "\ufffe", "\uffff"};
    for (String text : edges) print("string", encoding, units(text), serializer.serialize("t", text));
    for (int i = 0; i < 50; i++) {
      StringBuilder text = new StringBuilder();
      for (int n = random.nextInt(12); n > 0; n--) {
        text.append((char) (random.nextInt(4) == 0 ? 0xd700 + random.nextInt(0xa00) : random.nextInt(0x180)));
      }
      print("string", encoding, units(text.toString()), serializer.serialize("t", text.toString()));
    }
    byte[][] malformed = {{(byte) 0x80}, {(byte) 0xc3}, {(byte) 0xc3, 0x28}, {(byte) 0xe2, (byte) 0x82},
        {(byte) 0xf0, (byte) 0x9f, (byte) 0x98}, {(byte) 0xff, (byte) 0xfe, 0x41, 0}, {(byte) 0xfe, (byte) 0xff, 0, 0x41},
        {(byte) 0xef, (byte) 0xbb, (byte) 0xbf, 0x41}, {0x41, (byte) 0xfe}, {0, 0x41, 0}, {(byte) 0xd8, 0, 0, 0x41},
        {0, (byte) 0xd8, 0x41, 0}, {(byte) 0xdc, 0}, {(byte) 0xc0, (byte) 0x80}, {(byte) 0xf5, 0x41}};
    for (byte[] bytes : malformed) print("decode:string", encoding, units(deserializer.deserialize("t", bytes)), bytes);
  }

  static String raw(float f) {
    return HexFormat.of().formatHex(ByteBuffer.allocate(4).putInt(Float.floatToRawIntBits(f)).array());
  }

  static String raw(double d) {
    return HexFormat.of().formatHex(ByteBuffer.allocate(8).putLong(Double.doubleToRawLongBits(d)).array());
  }

  /** Code unit by code unit: an encoder would replace half a surrogate pair. */
  static String units(String text) {
    StringBuilder hex = new StringBuilder();
    for (char unit : text.toCharArray()) hex.append(String.format("%04x", (int) unit));
    return hex.toString();
  }

  static void print(String format, String encoding, String data, byte[] bytes) {
    System.out.println(String.join("\t", format, encoding, data, HexFormat.of().formatHex(bytes)));
  }
}
