import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** Reads records by Java's Avro and writes them again: a line of input is a writer's schema, a reader's, and a record in hexadecimal, with tabs between them. */
public final class Transcode {
    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split("\t");
            System.out.println(transcoded(schema(parts[0]), schema(parts[1]), HexFormat.of().parseHex(parts[2])));
        }
    }

    private static Schema schema(String text) {
        return new Schema.Parser().parse(text);
    }

    private static String transcoded(Schema written, Schema read, byte[] record) throws IOException {
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(record, null);
        Object value = new GenericDatumReader<Object>(written, read).read(null, decoder);
        if (!decoder.isEnd()) {
            throw new IOException("bytes follow the record");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<Object>(read).write(value, encoder);
        encoder.flush();
        return HexFormat.of().formatHex(bytes.toByteArray());
    }
}
