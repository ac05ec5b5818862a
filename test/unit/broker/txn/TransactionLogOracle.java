import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.coordinator.transaction.generated.TransactionLogKey;
import org.apache.kafka.coordinator.transaction.generated.TransactionLogValue;
import org.apache.kafka.tools.consumer.TransactionLogMessageFormatter;

/**
 * Reads records of the transaction log, key and value in hexadecimal on a line, and prints what Kafka's console consumer would, on one
 * line, and the same records as Kafka writes them, on the next. Nothing builds this: Java runs the file as it is.
 */
public class TransactionLogOracle {
    private static final HexFormat hex = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        TransactionLogMessageFormatter formatter = new TransactionLogMessageFormatter();
        formatter.configure(Map.of());
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split(" ");
            byte[] key = hex.parseHex(parts[0]);
            byte[] value = hex.parseHex(parts[1]);
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            formatter.writeTo(new ConsumerRecord<>("__transaction_state", 0, 0L, key, value), new PrintStream(text, true, StandardCharsets.UTF_8));
            out.println(text.toString(StandardCharsets.UTF_8).trim());
            out.println(keyAsKafkaWritesIt(key) + " " + valueAsKafkaWritesIt(value));
        }
        out.flush();
    }

    private static String keyAsKafkaWritesIt(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        short version = buffer.getShort();
        TransactionLogKey key = new TransactionLogKey(new ByteBufferAccessor(buffer), version);
        return hex.formatHex(MessageUtil.toVersionPrefixedBytes(version, key));
    }

    private static String valueAsKafkaWritesIt(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        short version = buffer.getShort();
        TransactionLogValue value = new TransactionLogValue(new ByteBufferAccessor(buffer), version);
        return hex.formatHex(MessageUtil.toVersionPrefixedBytes(version, value));
    }
}
