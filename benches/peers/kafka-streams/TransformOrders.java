import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Job T on Kafka Streams, with Avro's GenericRecord in Confluent's framing. It runs until it is stopped; progress is what its group
 * (its application id) has committed. Set up by the environment: BROKERS, GROUP, IN_TOPIC, OUT_TOPIC, IN_SCHEMA, OUT_SCHEMA (files),
 * IN_ID, OUT_ID (their ids in the registry), GUARANTEE, THREADS, STATE_DIR.
 */
public final class TransformOrders {
  private TransformOrders() {}

  public static void main(String[] arguments) throws IOException {
    KafkaStreams streams = new KafkaStreams(topology(framed("IN"), framed("OUT")), settings());
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
    streams.start();
  }

  private static Framed framed(String which) throws IOException {
    Schema schema = new Schema.Parser().parse(Files.readString(Path.of(setting(which + "_SCHEMA"))));
    return new Framed(schema, Integer.parseInt(setting(which + "_ID")));
  }

  private static String setting(String name) {
    String value = System.getenv(name);
    if (value == null) throw new IllegalArgumentException(name + " is not set");
    return value;
  }

  private static Properties settings() {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, setting("GROUP"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, setting("BROKERS"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, setting("GUARANTEE"));
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, setting("THREADS"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, setting("STATE_DIR"));
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "100");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    return settings;
  }

  private static Topology topology(Framed in, Framed out) {
    Work work = new Work(in.schema, out.schema);
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(setting("IN_TOPIC"), Consumed.with(Serdes.ByteArray(), in))
        .filter((key, order) -> work.keeps(order))
        .mapValues(work::made)
        .to(setting("OUT_TOPIC"), Produced.with(Serdes.ByteArray(), out));
    return builder.build();
  }

  private static double rate(String currency) {
    return switch (currency) {
      case "EUR" -> 1.0;
      case "USD" -> 0.92;
      case "GBP" -> 1.17;
      case "PLN" -> 0.23;
      case "SEK" -> 0.088;
      case "JPY" -> 0.0061;
      default -> 0.0;
    };
  }

  /** What job T does with a record, with the fields' places looked up once. */
  private static final class Work {
    private final Schema out;
    private final int[] origins;
    private final int status, amount, currency, amountEur, country, email;

    Work(Schema in, Schema out) {
      this.out = out;
      origins = new int[out.getFields().size()];
      for (Schema.Field field : out.getFields()) {
        Schema.Field origin = in.getField(field.name());
        origins[field.pos()] = origin == null ? -1 : origin.pos();
      }
      status = in.getField("status").pos();
      amount = in.getField("amount").pos();
      currency = in.getField("currency").pos();
      amountEur = out.getField("amount_eur").pos();
      country = out.getField("country").pos();
      email = out.getField("email").pos();
    }

    boolean keeps(GenericRecord order) {
      return !"CANCELLED".equals(order.get(status).toString());
    }

    GenericRecord made(GenericRecord order) {
      GenericData.Record made = new GenericData.Record(out);
      for (int place = 0; place < origins.length; place++) {
        if (origins[place] >= 0) made.put(place, order.get(origins[place]));
      }
      made.put(amountEur, (Double) order.get(amount) * rate(order.get(currency).toString()));
      made.put(country, made.get(country).toString().toUpperCase(Locale.ROOT));
      String address = made.get(email).toString();
      made.put(email, "***" + address.substring(address.indexOf('@')));
      return made;
    }
  }

  /** Avro framed with one schema id. Kafka Streams shares one instance between its threads: what is reused is a thread's own. */
  private static final class Framed implements Serde<GenericRecord>, Serializer<GenericRecord>, Deserializer<GenericRecord> {
    private static final int HEAD = 5;
    private final Schema schema;
    private final int id;
    private final ThreadLocal<Reused> reused;

    Framed(Schema schema, int id) {
      this.schema = schema;
      this.id = id;
      reused = ThreadLocal.withInitial(() -> new Reused(schema));
    }

    @Override
    public byte[] serialize(String topic, GenericRecord record) {
      Reused own = reused.get();
      own.bytes.reset();
      own.bytes.writeBytes(ByteBuffer.allocate(HEAD).put((byte) 0).putInt(id).array());
      try {
        own.encoder = EncoderFactory.get().binaryEncoder(own.bytes, own.encoder);
        own.writer.write(record, own.encoder);
        own.encoder.flush();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      return own.bytes.toByteArray();
    }

    @Override
    public GenericRecord deserialize(String topic, byte[] bytes) {
      Reused own = reused.get();
      if (bytes[0] != 0 || ByteBuffer.wrap(bytes, 1, 4).getInt() != id) throw new IllegalArgumentException("framed with another schema");
      try {
        own.decoder = DecoderFactory.get().binaryDecoder(bytes, HEAD, bytes.length - HEAD, own.decoder);
        return own.reader.read(null, own.decoder);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    @Override
    public Serializer<GenericRecord> serializer() {
      return this;
    }

    @Override
    public Deserializer<GenericRecord> deserializer() {
      return this;
    }

    @Override
    public void configure(java.util.Map<String, ?> settings, boolean isKey) {}

    @Override
    public void close() {}
  }

  private static final class Reused {
    final GenericDatumReader<GenericRecord> reader;
    final GenericDatumWriter<GenericRecord> writer;
    final ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
    BinaryDecoder decoder;
    BinaryEncoder encoder;

    Reused(Schema schema) {
      reader = new GenericDatumReader<>(schema);
      writer = new GenericDatumWriter<>(schema);
    }
  }
}
