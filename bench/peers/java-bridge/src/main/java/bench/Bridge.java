package bench;

import io.netty.handler.codec.mqtt.MqttQoS;
import io.vertx.core.AbstractVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.mqtt.MqttEndpoint;
import io.vertx.mqtt.MqttServer;
import io.vertx.mqtt.MqttServerOptions;
import io.vertx.mqtt.messages.MqttPublishMessage;
import java.io.IOException;
import java.net.ServerSocket;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A bridge as a Java engineer would write it: a Vert.x MQTT server in front, Kafka's own producer behind, and the
 * PUBACK in the producer's callback, so that a device is acknowledged when Kafka has its message. Payloads are
 * passed on as they are. PEER_BROKERS, PEER_TOPIC, PEER_LINGER_MS, PEER_BATCH_BYTES, PEER_TLS_CERT and PEER_TLS_KEY
 * configure it; it prints its port when it is ready and ends with SIGTERM.
 */
public final class Bridge extends AbstractVerticle {
  private final KafkaProducer<String, byte[]> producer;
  private final String topic;
  private final MqttServerOptions options;

  private Bridge(KafkaProducer<String, byte[]> producer, String topic, MqttServerOptions options) {
    this.producer = producer;
    this.topic = topic;
    this.options = options;
  }

  public static void main(String[] args) throws IOException {
    Map<String, String> environment = System.getenv();
    var producer =
        new KafkaProducer<String, byte[]>(
            Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("PEER_BROKERS"),
                ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class,
                ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class,
                ProducerConfig.ACKS_CONFIG, "all",
                ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4",
                ProducerConfig.LINGER_MS_CONFIG, environment.get("PEER_LINGER_MS"),
                ProducerConfig.BATCH_SIZE_CONFIG, environment.get("PEER_BATCH_BYTES")));
    int port = freePort();
    var options = new MqttServerOptions().setHost("127.0.0.1").setPort(port);
    if (environment.containsKey("PEER_TLS_CERT")) {
      options.setSsl(true);
      options.setKeyCertOptions(
          new PemKeyCertOptions()
              .setCertPath(environment.get("PEER_TLS_CERT"))
              .setKeyPath(environment.get("PEER_TLS_KEY")));
    }

    Vertx vertx = Vertx.vertx();
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  vertx.close().toCompletionStage().toCompletableFuture().join();
                  producer.close();
                }));
    // One instance a core on the same port, as Vert.x recommends.
    int instances = Runtime.getRuntime().availableProcessors();
    vertx
        .deployVerticle(
            () -> new Bridge(producer, environment.get("PEER_TOPIC"), options),
            new DeploymentOptions().setInstances(instances))
        .onSuccess(id -> System.out.println("listening on " + port))
        .onFailure(
            cause -> {
              cause.printStackTrace();
              System.exit(1);
            });
  }

  @Override
  public void start(Promise<Void> started) {
    MqttServer.create(vertx, options)
        .exceptionHandler(cause -> {})
        .endpointHandler(
            endpoint -> {
              endpoint.publishHandler(message -> publish(endpoint, message));
              endpoint.accept(false);
            })
        .listen()
        .<Void>mapEmpty()
        .onComplete(started);
  }

  private void publish(MqttEndpoint endpoint, MqttPublishMessage message) {
    String device = message.topicName().split("/")[2];
    var record = new ProducerRecord<>(topic, device, message.payload().getBytes());
    int id = message.messageId();
    boolean answers = message.qosLevel() == MqttQoS.AT_LEAST_ONCE;
    producer.send(
        record,
        (metadata, failure) -> {
          if (failure != null) {
            failure.printStackTrace();
          } else if (answers) {
            context.runOnContext(nothing -> endpoint.publishAcknowledge(id));
          }
        });
  }

  private static int freePort() throws IOException {
    try (var socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
