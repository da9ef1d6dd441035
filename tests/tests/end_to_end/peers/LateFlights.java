import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Flights that left more than an hour late, exactly once, on Kafka Streams and Java's Avro, with schemas of the registry.
 * Arguments: brokers, registry, topic to read, topic to write, folder for state.
 */
public final class LateFlights {
    static final Schema LATE = new Schema.Parser().parse("""
        {"type":"record","name":"Late","fields":[{"name":"carrier","type":"string"},{"name":"flight","type":"int"},
        {"name":"origin","type":"string"},{"name":"hours","type":"double"}]}""");
    static final ObjectMapper JSON = new ObjectMapper();

    final HttpClient http = HttpClient.newHttpClient();
    final String registry;
    final Map<Integer, Schema> schemas = new HashMap<>();

    LateFlights(String registry) { this.registry = registry; }

    String call(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<String> answer = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) throw new IOException(answer.statusCode() + " " + answer.body());
        return answer.body();
    }

    synchronized Schema schema(int id) {
        return schemas.computeIfAbsent(id, unknown -> {
            try {
                String answer = call(HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)));
                return new Schema.Parser().parse(JSON.readTree(answer).get("schema").asText());
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    int register(String topic) throws IOException, InterruptedException {
        String body = JSON.createObjectNode().put("schema", LATE.toString()).toString();
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(registry + "/subjects/" + topic + "-value/versions"));
        request.header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body));
        return JSON.readTree(call(request)).get("id").asInt();
    }

    GenericRecord decode(byte[] value) {
        ByteBuffer frame = ByteBuffer.wrap(value);
        if (frame.get() != 0) throw new IllegalArgumentException("not framed");
        try {
            GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema(frame.getInt()));
            return reader.read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static byte[] encode(int id, GenericRecord flight) {
        GenericRecord late = new GenericData.Record(LATE);
        late.put("carrier", flight.get("carrier"));
        late.put("flight", flight.get("flight"));
        late.put("origin", flight.get("origin"));
        late.put("hours", delay(flight) / 60);
        try {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            out.write(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
            BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
            new GenericDatumWriter<GenericRecord>(LATE).write(late, encoder);
            encoder.flush();
            return out.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static double delay(GenericRecord flight) {
        Object delay = flight.get("dep_delay");
        return delay == null ? 0 : ((Number) delay).doubleValue();
    }

    public static void main(String[] arguments) throws Exception {
        LateFlights program = new LateFlights(arguments[1]);
        int id = program.register(arguments[3]);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(arguments[2], Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .mapValues(program::decode)
            .filter((key, flight) -> delay(flight) > 60)
            .mapValues(flight -> encode(id, flight))
            .to(arguments[3], Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3] + ".program");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put("auto.offset.reset", "earliest");
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        streams.start();
    }
}
