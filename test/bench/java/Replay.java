import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.BytesDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * A topic of records, and what people read one into memory with on the JVM. Called as
 * `produce BROKERS TOPIC RECORDS CODEC`, `hashmap BROKERS TOPIC RECORDS` or `globaltable BROKERS TOPIC RECORDS STATE_FOLDER`.
 * The last line that it prints is JSON: how long it took, the bytes of heap that the table lives in, and a digest of what was
 * written or is in the table, which is the same for the same records.
 */
public class Replay {
    /** As much in one answer to a fetch as the other readers ask for. */
    private static final int FETCH_BYTES = 10 * 1024 * 1024;
    /** Every so manieth record is in the digest. */
    private static final int DIGEST_STRIDE = 16;

    public static void main(String[] args) throws Exception {
        int records = Integer.parseInt(args[3]);
        switch (args[0]) {
            case "produce" -> produce(args[1], args[2], records, args[4]);
            case "hashmap" -> intoHashMap(args[1], args[2], records);
            case "globaltable" -> intoGlobalTable(args[1], args[2], records, args[4]);
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.exit(0);
    }

    /** Keys of 15 bytes. */
    private static byte[] keyAt(int index) {
        byte[] key = "key-00000000000".getBytes(StandardCharsets.ISO_8859_1);
        for (int at = key.length - 1, rest = index; rest > 0; at -= 1, rest /= 10) key[at] = (byte) ('0' + rest % 10);
        return key;
    }

    /** Of JSON, 100 bytes; about half of them differ from record to record. */
    private static byte[] valueAt(int index) {
        StringBuilder text = new StringBuilder(112);
        text.append("{\"id\":\"").append(new String(keyAt(index), 4, 11, StandardCharsets.ISO_8859_1));
        text.append("\",\"name\":\"").append(word(index + 1)).append('-').append(word(index + 2));
        text.append("\",\"price\":").append(index % 997).append(",\"tags\":[\"").append(word(index + 3));
        text.append("\",\"").append(word(index + 4)).append("\"],\"note\":\"");
        String filling = word(index + 5);
        while (text.length() < 98) text.append(filling);
        text.setLength(98);
        return text.append("\"}").toString().getBytes(StandardCharsets.ISO_8859_1);
    }

    private static String word(int index) {
        String digits = Long.toString(Integer.toUnsignedLong(index * 0x9e3779b1), 36);
        return "0000000".substring(Math.min(7, digits.length())) + digits;
    }

    private static long crcOf(byte[] key, byte[] value) {
        CRC32 crc = new CRC32();
        crc.update(key);
        crc.update(value);
        return crc.getValue();
    }

    private static void produce(String brokers, String topic, int records, String codec) {
        Properties settings = new Properties();
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, codec);
        settings.put(ProducerConfig.LINGER_MS_CONFIG, 50);
        // About a thousand records to a batch.
        settings.put(ProducerConfig.BATCH_SIZE_CONFIG, 128 * 1024);
        long started = System.nanoTime();
        long digest = 0;
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int index = 0; index < records; index += 1) {
                byte[] key = keyAt(index);
                byte[] value = valueAt(index);
                if (index % DIGEST_STRIDE == 0) digest += crcOf(key, value);
                producer.send(new ProducerRecord<>(topic, key, value), (metadata, failure) -> {
                    if (failure == null) return;
                    failure.printStackTrace();
                    Runtime.getRuntime().halt(1);
                });
            }
        }
        tell(started, System.nanoTime(), 0, digest);
    }

    private static void intoHashMap(String brokers, String topic, int records) {
        Properties settings = new Properties();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, FETCH_BYTES);
        settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 10_000);
        Map<Bytes, byte[]> table = new HashMap<>();
        long started = System.nanoTime();
        KafkaConsumer<Bytes, byte[]> consumer =
            new KafkaConsumer<>(settings, new BytesDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
            .map(info -> new TopicPartition(topic, info.partition()))
            .collect(Collectors.toList());
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        for (long seen = 0; seen < records; ) {
            for (ConsumerRecord<Bytes, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                table.put(record.key(), record.value());
                seen += 1;
            }
        }
        long ended = System.nanoTime();
        consumer.close();
        check(table.size(), records);
        tell(started, ended, heapBytes(), digestOf(records, table::get));
    }

    private static void intoGlobalTable(String brokers, String topic, int records, String folder) throws Exception {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-" + topic);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.globalConsumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), FETCH_BYTES);
        settings.put(StreamsConfig.globalConsumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        StreamsBuilder builder = new StreamsBuilder();
        builder.globalTable(
            topic,
            Consumed.with(Serdes.Bytes(), Serdes.ByteArray()),
            Materialized.<Bytes, byte[]>as(Stores.inMemoryKeyValueStore("table"))
                .withKeySerde(Serdes.Bytes())
                .withValueSerde(Serdes.ByteArray())
                .withCachingDisabled());
        CountDownLatch runs = new CountDownLatch(1);
        long started = System.nanoTime();
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(failure -> {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.setStateListener((state, before) -> {
            if (state == KafkaStreams.State.RUNNING) runs.countDown();
        });
        streams.start();
        // The table has been restored before that.
        runs.await();
        long ended = System.nanoTime();
        ReadOnlyKeyValueStore<Bytes, byte[]> table =
            streams.store(StoreQueryParameters.fromNameAndType("table", QueryableStoreTypes.keyValueStore()));
        check(table.approximateNumEntries(), records);
        tell(started, ended, heapBytes(), digestOf(records, table::get));
        streams.close(Duration.ofSeconds(5));
    }

    private static long digestOf(int records, Function<Bytes, byte[]> table) {
        long digest = 0;
        for (int index = 0; index < records; index += DIGEST_STRIDE) {
            byte[] key = keyAt(index);
            digest += crcOf(key, table.apply(Bytes.wrap(key)));
        }
        return digest;
    }

    private static void check(long size, int records) {
        if (size != records) throw new IllegalStateException("the table has " + size + " values");
    }

    /** What is alive. */
    private static long heapBytes() {
        Runtime runtime = Runtime.getRuntime();
        System.gc();
        return runtime.totalMemory() - runtime.freeMemory();
    }

    private static void tell(long started, long ended, long heapBytes, long digest) {
        double elapsedMs = (ended - started) / 1e6;
        System.out.printf("{\"elapsedMs\":%.3f,\"heapBytes\":%d,\"digest\":%d}%n", elapsedMs, heapBytes, digest);
    }
}
