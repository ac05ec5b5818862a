import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.MessageFormatter;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter;
import org.apache.kafka.tools.consumer.OffsetsMessageFormatter;

/**
 * Reads records of the group coordinator's log, key and value in hexadecimal on a line, with - for no value, and prints what Kafka's
 * console consumer would, on one line, and the same record as Kafka writes it, on the next. Nothing builds this: Java runs the file
 * as it is.
 */
public class GroupLogOracle {
    private static final HexFormat hex = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        MessageFormatter offsets = new OffsetsMessageFormatter();
        MessageFormatter groups = new GroupMetadataMessageFormatter();
        offsets.configure(Map.of());
        groups.configure(Map.of());
        GroupCoordinatorRecordSerde serde = new GroupCoordinatorRecordSerde();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split(" ");
            byte[] key = hex.parseHex(parts[0]);
            byte[] value = parts[1].equals("-") ? null : hex.parseHex(parts[1]);
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            PrintStream shown = new PrintStream(text, true, StandardCharsets.UTF_8);
            ConsumerRecord<byte[], byte[]> record = new ConsumerRecord<>("__consumer_offsets", 0, 0L, key, value);
            offsets.writeTo(record, shown);
            groups.writeTo(record, shown);
            out.println(text.toString(StandardCharsets.UTF_8).trim());
            CoordinatorRecord read = serde.deserialize(ByteBuffer.wrap(key), value == null ? null : ByteBuffer.wrap(value));
            byte[] written = serde.serializeValue(read);
            out.println(hex.formatHex(serde.serializeKey(read)) + " " + (written == null ? "-" : hex.formatHex(written)));
        }
        out.flush();
    }
}
