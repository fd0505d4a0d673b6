import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.eclipse.tahu.message.SparkplugBPayloadEncoder;
import org.eclipse.tahu.message.model.DataSet.DataSetBuilder;
import org.eclipse.tahu.message.model.DataSetDataType;
import org.eclipse.tahu.message.model.Metric;
import org.eclipse.tahu.message.model.Metric.MetricBuilder;
import org.eclipse.tahu.message.model.MetricDataType;
import org.eclipse.tahu.message.model.Parameter;
import org.eclipse.tahu.message.model.ParameterDataType;
import org.eclipse.tahu.message.model.Row.RowBuilder;
import org.eclipse.tahu.message.model.SparkplugBPayload;
import org.eclipse.tahu.message.model.SparkplugBPayload.SparkplugBPayloadBuilder;
import org.eclipse.tahu.message.model.Template.TemplateBuilder;
import org.eclipse.tahu.message.model.Value;

/**
 * Prints vectors.json: a conversation in Sparkplug B as Eclipse Tahu writes it, and what its fields hold, in the same
 * form as vectors.json of the folder above.
 *
 *   cd test/decode/sparkplug/tahu
 *   mvn -q dependency:copy-dependencies -DoutputDirectory=/tmp/tahu -DincludeScope=runtime
 *   java -cp '/tmp/tahu/*' TahuVectors.java > vectors.json
 */
class TahuVectors {
  static final long NOW = 1767225600000L;
  static final List<String> MESSAGES = new ArrayList<>();

  /** A metric's data type, what Tahu is given, and the same as JSON. */
  record Sample(MetricDataType type, Object value, String expected) {}

  static final List<Sample> SAMPLES = List.of(
      new Sample(MetricDataType.Int8, (byte) -1, integer("-1")),
      new Sample(MetricDataType.Int8, (byte) -128, integer("-128")),
      new Sample(MetricDataType.Int8, (byte) 127, integer("127")),
      new Sample(MetricDataType.Int16, (short) -32768, integer("-32768")),
      new Sample(MetricDataType.Int16, (short) 300, integer("300")),
      new Sample(MetricDataType.Int32, -2, integer("-2")),
      new Sample(MetricDataType.Int32, Integer.MIN_VALUE, integer("-2147483648")),
      new Sample(MetricDataType.Int64, -1L, integer("-1")),
      new Sample(MetricDataType.Int64, Long.MIN_VALUE, integer("-9223372036854775808")),
      new Sample(MetricDataType.Int64, 9007199254740993L, integer("9007199254740993")),
      new Sample(MetricDataType.UInt8, (short) 255, integer("255")),
      new Sample(MetricDataType.UInt16, 65535, integer("65535")),
      new Sample(MetricDataType.UInt32, 4294967295L, integer("4294967295")),
      new Sample(MetricDataType.UInt64, new BigInteger("9223372036854775807"), integer("9223372036854775807")),
      new Sample(MetricDataType.UInt64, new BigInteger("18446744073709551615"), integer("18446744073709551615")),
      new Sample(MetricDataType.Float, 0.5f, "0.5"),
      new Sample(MetricDataType.Float, -0.25f, "-0.25"),
      new Sample(MetricDataType.Double, 21.7, "21.7"),
      new Sample(MetricDataType.Boolean, true, "true"),
      new Sample(MetricDataType.Boolean, false, "false"),
      new Sample(MetricDataType.String, "l\u00e4uft \u65e5\u672c", "\"l\u00e4uft \u65e5\u672c\""),
      new Sample(MetricDataType.DateTime, new Date(NOW), integer("" + NOW)),
      new Sample(MetricDataType.Text, "", "\"\""),
      new Sample(MetricDataType.UUID, "9b2d5a2f-0000-4000-8000-000000000001", "\"9b2d5a2f-0000-4000-8000-000000000001\""),
      new Sample(MetricDataType.Bytes, new byte[] {0, -1}, "{\"hex\": \"00ff\"}"),
      new Sample(MetricDataType.Int8Array, new Byte[] {-23, 123}, "{\"hex\": \"e97b\"}"),
      new Sample(MetricDataType.Int16Array, new Short[] {-30000, 30000}, "{\"hex\": \"d08a3075\"}"),
      new Sample(MetricDataType.Int32Array, new Integer[] {-1, 315338746}, "{\"hex\": \"fffffffffaafcb12\"}"),
      new Sample(MetricDataType.Int32, null, "null"),
      new Sample(MetricDataType.String, null, "null"));

  public static void main(String[] arguments) throws Exception {
    Map<String, String> fields = own("n1", "NBIRTH", 0);
    fields.put("$online", "true");
    fields.put("$bdSeq", integer("7"));
    List<Metric> born = new ArrayList<>(List.of(bdSeq(7)));
    List<Metric> changed = new ArrayList<>();
    Map<String, String> changedFields = own("n1", "NDATA", 1);
    for (int index = 0; index < SAMPLES.size(); index++) {
      Sample sample = SAMPLES.get(index);
      String name = "m" + index + "/" + sample.type;
      born.add(metric(name, (long) index, sample));
      changed.add(metric(null, (long) index, sample));
      fields.put(name, sample.expected);
      changedFields.put(name, sample.expected);
    }
    send("NBIRTH/n1", payload(0L, born), false, fields);
    send("NDATA/n1", payload(1L, changed), true, changedFields);

    fields = own("n1/d1", "DBIRTH", 2);
    fields.put("$online", "true");
    fields.put("table", text("{\"num_of_columns\":2,\"columns\":[\"a\",\"b\"],\"types\":[3,12],"
        + "\"rows\":[{\"elements\":[{\"int_value\":5},{\"string_value\":\"x\"}]}]}"));
    fields.put("motor", text("{\"version\":\"1\",\"metrics\":[{\"name\":\"rpm\",\"timestamp\":" + NOW
        + ",\"datatype\":3,\"is_null\":false,\"int_value\":900}],\"parameters\":[{\"name\":\"poles\",\"type\":3,\"int_value\":4}],"
        + "\"template_ref\":\"Motor\",\"is_definition\":false}"));
    fields.put("temp", integer("-40"));
    var table = new DataSetBuilder(2)
        .addColumnNames(List.of("a", "b"))
        .addTypes(List.of(DataSetDataType.Int32, DataSetDataType.String))
        .addRow(new RowBuilder()
            .addValue(new Value<>(DataSetDataType.Int32, 5))
            .addValue(new Value<>(DataSetDataType.String, "x"))
            .createRow())
        .createDataSet();
    var motor = new TemplateBuilder()
        .version("1")
        .templateRef("Motor")
        .definition(false)
        .addMetric(new MetricBuilder("rpm", MetricDataType.Int32, 900).timestamp(new Date(NOW)).createMetric())
        .addParameter(new Parameter("poles", ParameterDataType.Int32, 4))
        .createTemplate();
    send("DBIRTH/n1/d1", payload(2L, List.of(
        metric("table", 100L, new Sample(MetricDataType.DataSet, table, "")),
        metric("motor", 101L, new Sample(MetricDataType.Template, motor, "")),
        metric("temp", 102L, new Sample(MetricDataType.Int16, (short) -40, "")))), false, fields);

    fields = own("n1/d1", "DDATA", 3);
    fields.put("temp", integer("-41"));
    send("DDATA/n1/d1", payload(3L, List.of(
        metric(null, 102L, new Sample(MetricDataType.Int16, (short) -41, "")))), true, fields);
    fields = own("n1/d1", "DDEATH", 4);
    fields.put("$online", "false");
    send("DDEATH/n1/d1", payload(4L, List.of()), false, fields);
    fields = own("n1", "NDEATH", -1);
    fields.put("$online", "false");
    fields.put("$bdSeq", integer("7"));
    send("NDEATH/n1", payload(null, List.of(bdSeq(7))), false, fields);
    System.out.println("[\n " + String.join(",\n ", MESSAGES) + "\n]");
  }

  static Metric metric(String name, Long alias, Sample sample) throws Exception {
    MetricBuilder builder = name == null
        ? new MetricBuilder(alias, sample.type, sample.value)
        : new MetricBuilder(name, sample.type, sample.value).alias(alias);
    return builder.timestamp(new Date(NOW)).createMetric();
  }

  static Metric bdSeq(long value) throws Exception {
    return new MetricBuilder("bdSeq", MetricDataType.Int64, value).timestamp(new Date(NOW)).createMetric();
  }

  static SparkplugBPayload payload(Long seq, List<Metric> metrics) {
    SparkplugBPayloadBuilder builder = new SparkplugBPayloadBuilder().setTimestamp(new Date(NOW)).addMetrics(metrics);
    return (seq == null ? builder : builder.setSeq(seq)).createPayload();
  }

  static Map<String, String> own(String source, String kind, int seq) {
    Map<String, String> fields = new LinkedHashMap<>();
    fields.put("$source", text(source));
    fields.put("$message", text(kind));
    fields.put("$timestamp", integer("" + NOW));
    if (seq >= 0) fields.put("$seq", integer("" + seq));
    return fields;
  }

  static void send(String topic, SparkplugBPayload payload, boolean withoutTypes, Map<String, String> fields)
      throws Exception {
    byte[] bytes = new SparkplugBPayloadEncoder().getBytes(payload, withoutTypes);
    List<String> parts = new ArrayList<>();
    fields.forEach((name, value) -> parts.add(text(name) + ": " + value));
    MESSAGES.add("{\"topic\": " + text("spBv1.0/g/" + topic) + ", \"payload\": \""
        + HexFormat.of().formatHex(bytes) + "\", \"fields\": {" + String.join(", ", parts) + "}}");
  }

  static String integer(String digits) {
    return "{\"int\": \"" + digits + "\"}";
  }

  static String text(String text) {
    return "\"" + text.replace("\"", "\\\"") + "\"";
  }
}
