import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.ByteUtils;

/**
 * Answers what Kafka itself would write or read. Each line of the input is a question in JSON, each line of the output its answer;
 * see oracle.ts for the questions. Nothing builds this: Java runs the file as it is.
 */
public class KafkaOracle {
    private static final ObjectMapper mapper = new ObjectMapper();
    private static final HexFormat hex = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = mapper.createObjectNode();
            try {
                answer(mapper.readTree(line), answer);
            } catch (Exception | Error error) {
                Throwable cause = error.getCause() == null ? error : error.getCause();
                answer.removeAll().put("error", cause.toString());
            }
            out.println(mapper.writeValueAsString(answer));
        }
        out.flush();
    }

    private static void answer(JsonNode question, ObjectNode answer) throws Exception {
        switch (question.get("ask").asText()) {
            case "definition" -> definition(question, answer);
            case "frame" -> frame(question, answer);
            case "errors" -> errors(answer);
            case "varint" -> varint(question, answer);
            case "writeBatch" -> writeBatch(question, answer);
            case "readBatches" -> readBatches(question, answer);
            default -> throw new IllegalArgumentException("unknown question");
        }
    }

    private static void definition(JsonNode question, ObjectNode answer) throws Exception {
        String path = "common/message/" + question.get("message").asText() + ".json";
        try (var in = ApiMessage.class.getClassLoader().getResourceAsStream(path)) {
            if (in == null) throw new IllegalArgumentException("there is no " + path);
            answer.put("text", new String(in.readAllBytes(), StandardCharsets.UTF_8));
        }
    }

    /** A whole request or response as it follows its length: the header in the version that goes with the body's, then the body. */
    private static void frame(JsonNode question, ObjectNode answer) throws Exception {
        short version = (short) question.get("version").asInt();
        String name = question.get("message").asText();
        ApiMessage body = (ApiMessage) messageClass(name, "JsonConverter")
            .getMethod("read", JsonNode.class, short.class)
            .invoke(null, question.get("value"), version);
        setRecords(body, question.get("value"));
        ApiMessageType type = ApiMessageType.fromApiKey(body.apiKey());
        int correlationId = question.get("correlationId").asInt();
        String head;
        if (name.endsWith("Request")) {
            RequestHeaderData header = new RequestHeaderData()
                .setRequestApiKey(body.apiKey())
                .setRequestApiVersion(version)
                .setCorrelationId(correlationId)
                .setClientId(question.get("clientId").asText());
            head = bytesOf(header, type.requestHeaderVersion(version));
        } else {
            ResponseHeaderData header = new ResponseHeaderData().setCorrelationId(correlationId);
            head = bytesOf(header, type.responseHeaderVersion(version));
        }
        answer.put("hex", head + bytesOf(body, version));
    }

    /** Kafka's converter from JSON leaves records out. */
    private static void setRecords(ApiMessage body, JsonNode value) throws Exception {
        if (body instanceof ProduceRequestData produce) {
            int topicIndex = 0;
            for (var topic : produce.topicData()) {
                JsonNode partitions = value.get("topicData").get(topicIndex++).get("partitionData");
                for (int i = 0; i < partitions.size(); i += 1) {
                    topic.partitionData().get(i).setRecords(records(partitions.get(i).get("records")));
                }
            }
        } else if (body instanceof FetchResponseData fetch) {
            for (int t = 0; t < fetch.responses().size(); t += 1) {
                JsonNode partitions = value.get("responses").get(t).get("partitions");
                for (int i = 0; i < partitions.size(); i += 1) {
                    fetch.responses().get(t).partitions().get(i).setRecords(records(partitions.get(i).get("records")));
                }
            }
        }
    }

    private static MemoryRecords records(JsonNode base64) throws Exception {
        return base64.isNull() ? null : MemoryRecords.readableRecords(ByteBuffer.wrap(base64.binaryValue()));
    }

    private static Class<?> messageClass(String name, String suffix) throws Exception {
        return Class.forName("org.apache.kafka.common.message." + name + "Data" + suffix);
    }

    private static String bytesOf(Message message, short version) {
        return hex(MessageUtil.toByteBufferAccessor(message, version).buffer());
    }

    private static void errors(ObjectNode answer) {
        ArrayNode all = answer.putArray("errors");
        for (Errors error : Errors.values()) {
            all.addObject()
                .put("name", error.name())
                .put("code", error.code())
                .put("retriable", error.exception() instanceof RetriableException);
        }
    }

    private static void varint(JsonNode question, ObjectNode answer) {
        long value = Long.parseLong(question.get("value").asText());
        ByteBuffer buffer = ByteBuffer.allocate(16);
        switch (question.get("kind").asText()) {
            case "uvarint" -> ByteUtils.writeUnsignedVarint((int) value, buffer);
            case "varint" -> ByteUtils.writeVarint((int) value, buffer);
            default -> ByteUtils.writeVarlong(value, buffer);
        }
        answer.put("hex", hex(buffer.flip()));
    }

    private static void writeBatch(JsonNode question, ObjectNode answer) {
        JsonNode batch = question.get("batch");
        long lastOffset = batch.get("baseOffset").asLong() + batch.get("lastOffsetDelta").asLong();
        if (batch.get("records").isEmpty()) {
            answer.put("hex", hex(emptyBatch(batch, lastOffset)));
            return;
        }
        boolean isControl = batch.get("isControl").asBoolean();
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(
            new ByteBufferOutputStream(1024),
            RecordBatch.MAGIC_VALUE_V2,
            Compression.of(CompressionType.forName(batch.get("codec").asText())).build(),
            TimestampType.CREATE_TIME,
            batch.get("baseOffset").asLong(),
            RecordBatch.NO_TIMESTAMP,
            batch.get("producerId").asLong(),
            (short) batch.get("producerEpoch").asInt(),
            batch.get("baseSequence").asInt(),
            batch.get("isTransactional").asBoolean(),
            isControl,
            batch.get("leaderEpoch").asInt(),
            Integer.MAX_VALUE,
            batch.get("deleteHorizonMs").isNull() ? RecordBatch.NO_TIMESTAMP : batch.get("deleteHorizonMs").asLong()
        );
        for (JsonNode record : batch.get("records")) {
            if (isControl) {
                ControlRecordType type = ControlRecordType.valueOf(record.get("type").asText());
                int epoch = record.get("coordinatorEpoch").asInt();
                builder.appendEndTxnMarker(record.get("timestampMs").asLong(), new EndTransactionMarker(type, epoch));
                continue;
            }
            ArrayNode given = (ArrayNode) record.get("headers");
            Header[] headers = new Header[given.size()];
            for (int i = 0; i < headers.length; i += 1) {
                headers[i] = new RecordHeader(given.get(i).get(0).asText(), bytes(given.get(i).get(1)));
            }
            builder.appendWithOffset(
                batch.get("baseOffset").asLong() + record.get("offsetDelta").asLong(),
                record.get("timestampMs").asLong(),
                bytes(record.get("key")),
                bytes(record.get("value")),
                headers
            );
        }
        builder.overrideLastOffset(lastOffset);
        answer.put("hex", hex(builder.build().buffer()));
    }

    /** As compaction leaves it when every record is gone and the producer's last sequence must stay. */
    private static ByteBuffer emptyBatch(JsonNode batch, long lastOffset) {
        ByteBuffer buffer = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        DefaultRecordBatch.writeEmptyHeader(
            buffer,
            RecordBatch.MAGIC_VALUE_V2,
            batch.get("producerId").asLong(),
            (short) batch.get("producerEpoch").asInt(),
            batch.get("baseSequence").asInt(),
            batch.get("baseOffset").asLong(),
            lastOffset,
            batch.get("leaderEpoch").asInt(),
            TimestampType.CREATE_TIME,
            RecordBatch.NO_TIMESTAMP,
            batch.get("isTransactional").asBoolean(),
            batch.get("isControl").asBoolean()
        );
        return buffer.flip();
    }

    private static void readBatches(JsonNode question, ObjectNode answer) {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(hex.parseHex(question.get("hex").asText())));
        ArrayNode batches = answer.putArray("batches");
        for (MutableRecordBatch batch : records.batches()) {
            batch.ensureValid();
            ObjectNode one = batches.addObject()
                .put("baseOffset", batch.baseOffset())
                .put("lastOffset", batch.lastOffset())
                .put("bytes", batch.sizeInBytes())
                .put("leaderEpoch", batch.partitionLeaderEpoch())
                .put("codec", batch.compressionType().name)
                .put("isLogAppendTime", batch.timestampType() == TimestampType.LOG_APPEND_TIME)
                .put("isTransactional", batch.isTransactional())
                .put("isControl", batch.isControlBatch())
                .put("maxTimestampMs", batch.maxTimestamp())
                .put("producerId", batch.producerId())
                .put("producerEpoch", batch.producerEpoch())
                .put("baseSequence", batch.baseSequence())
                .put("deleteHorizonMs", batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : null)
                .put("count", batch.countOrNull());
            ArrayNode contents = one.putArray("records");
            for (Record record : batch) {
                record.ensureValid();
                ObjectNode each = contents.addObject()
                    .put("offset", record.offset())
                    .put("timestampMs", record.timestamp())
                    .put("key", hexOrNull(record.key()))
                    .put("value", hexOrNull(record.value()));
                ArrayNode headers = each.putArray("headers");
                for (Header header : record.headers()) {
                    ArrayNode pair = headers.addArray().add(header.key());
                    pair.add(header.value() == null ? null : hex.formatHex(header.value()));
                }
            }
        }
    }

    private static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : hex.parseHex(node.asText());
    }

    private static String hexOrNull(ByteBuffer buffer) {
        return buffer == null ? null : hex(buffer);
    }

    private static String hex(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return hex.formatHex(bytes);
    }
}
