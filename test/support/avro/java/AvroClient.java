import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.avro.AvroRemoteException;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Protocol;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.ipc.CallFuture;
import org.apache.avro.ipc.generic.GenericRequestor;
import org.apache.avro.ipc.netty.NettyTransceiver;

/**
 * Avro's own client against a node, for the tests: AvroClient MODE HOST PORT [...], started where `schemas/` is. It prints one
 * line of JSON, with bytes in hex.
 *
 *   calls HOST PORT                  what every kind of call comes to
 *   capture HOST PORT                a fixed series of calls, for who listens in between
 *   bench HOST PORT SECONDS THREADS  calls a second: one after the other, and from many threads over one connection
 */
public class AvroClient {
  static final String ORIGINAL = "schemas/rpc.avpr";
  static final String OURS = "schemas/database.avpr";

  public static void main(String[] args) throws Exception {
    InetSocketAddress node = new InetSocketAddress(args[1], Integer.parseInt(args[2]));
    Object answer = switch (args[0]) {
      case "calls" -> calls(node);
      case "capture" -> capture(node);
      case "bench" -> bench(node, Integer.parseInt(args[3]), Integer.parseInt(args[4]));
      default -> throw new IllegalArgumentException(args[0]);
    };
    System.out.println(new ObjectMapper().writeValueAsString(answer));
    // Netty's threads would keep the process for some seconds.
    System.exit(0);
  }

  /** One connection that speaks one protocol. */
  record Connection(Protocol protocol, NettyTransceiver transceiver, GenericRequestor requestor) implements AutoCloseable {
    static Connection open(InetSocketAddress node, Protocol protocol) throws IOException {
      NettyTransceiver transceiver = new NettyTransceiver(node);
      return new Connection(protocol, transceiver, new GenericRequestor(protocol, transceiver));
    }

    /** Names and values of parameters by turns; the others have their defaults. */
    GenericRecord request(String message, Object... parameters) {
      return built(protocol.getMessages().get(message).getRequest(), parameters);
    }

    Object call(String message, Object... parameters) throws Exception {
      return requestor.request(message, request(message, parameters));
    }

    GenericRecord record(String type, Object... fields) {
      return built(protocol.getType(type), fields);
    }

    GenericData.EnumSymbol symbol(String type, String symbol) {
      return new GenericData.EnumSymbol(protocol.getType(type), symbol);
    }

    /** What a call comes to: a value, the data of a typed error, or a system error's string. */
    Map<String, Object> outcome(String message, Object... parameters) throws Exception {
      try {
        return entry("value", plain(call(message, parameters)));
      } catch (AvroRemoteException e) {
        return entry("failure", plain(e.getValue()));
      } catch (AvroRuntimeException e) {
        return entry("error", e.getMessage());
      }
    }

    @Override
    public void close() {
      transceiver.close();
    }
  }

  static Object calls(InetSocketAddress node) throws Exception {
    Map<String, Object> sections = new LinkedHashMap<>();
    sections.put("original", section(() -> original(node)));
    sections.put("ours", section(() -> ours(node)));
    sections.put("batches", section(() -> batches(node)));
    sections.put("sizes", section(() -> sizes(node)));
    sections.put("older", section(() -> older(node)));
    sections.put("newer", section(() -> newer(node)));
    sections.put("incompatible", section(() -> incompatible(node)));
    sections.put("pipelined", section(() -> pipelined(node)));
    return sections;
  }

  /** A section that fails leaves the others to be seen. */
  static Object section(Callable<Object> calls) {
    try {
      return calls.call();
    } catch (Throwable e) {
      e.printStackTrace();
      return entry("failed", e.toString());
    }
  }

  static Object original(InetSocketAddress node) throws Exception {
    try (Connection c = Connection.open(node, Protocol.parse(new File(ORIGINAL)))) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      outcomes.put("before", c.outcome("getValue", "key", "ciudad"));
      outcomes.put("set", c.outcome("setValue", "key", "ciudad", "value", "Málaga ☀"));
      outcomes.put("get", c.outcome("getValue", "key", "ciudad"));
      outcomes.put("delete", c.outcome("delete", "key", "ciudad"));
      outcomes.put("after", c.outcome("getValue", "key", "ciudad"));
      outcomes.put("emptyKey", c.outcome("getValue", "key", ""));
      String large = "ñ".repeat(50_000);
      c.call("setValue", "key", "large text", "value", large);
      outcomes.put("largeIsTheSame", large.equals(c.call("getValue", "key", "large text").toString()));
      c.call("setValue", "key", "by java, original", "value", "Sevilla");
      return outcomes;
    }
  }

  static Object ours(InetSocketAddress node) throws Exception {
    try (Connection c = Connection.open(node, Protocol.parse(new File(OURS)))) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      ByteBuffer key = ByteBuffer.wrap(new byte[] { (byte) 0xff, 0, 'k' });
      ByteBuffer value = ByteBuffer.wrap(new byte[] { (byte) 0x80, 1, 2 });
      outcomes.put("absent", c.outcome("get", "key", key));
      outcomes.put("put", c.outcome("put", "key", key, "value", value, "ttlMs", 3_600_000L, "contentType", "image/x"));
      outcomes.put("get", c.outcome("get", "key", key));
      GenericRecord written = (GenericRecord) c.call("put", "key", bytes("session"), "value", bytes("1"));
      GenericRecord position = c.record("Position",
          "partition", written.get("partition"), "position", (Long) written.get("offset") + 1);
      outcomes.put("session", c.outcome("get", "key", bytes("session"),
          "consistency", c.symbol("Consistency", "SESSION"), "positions", List.of(position)));
      outcomes.put("linearizable", c.outcome("get", "key", bytes("session"),
          "consistency", c.symbol("Consistency", "LINEARIZABLE")));
      outcomes.put("logged", c.outcome("put", "key", bytes("by java, ours"), "value", value,
          "wait", c.symbol("Wait", "LOGGED")));
      outcomes.put("remove", c.outcome("remove", "key", key));
      outcomes.put("removed", c.outcome("get", "key", key));
      outcomes.put("emptyKey", c.outcome("get", "key", bytes("")));
      outcomes.put("badTtl", c.outcome("put", "key", key, "value", value, "ttlMs", 0L));
      return outcomes;
    }
  }

  static Object batches(InetSocketAddress node) throws Exception {
    try (Connection c = Connection.open(node, Protocol.parse(new File(OURS)))) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      c.call("put", "key", bytes("b"), "value", bytes("to be deleted"));
      outcomes.put("multiPut", c.outcome("multiPut", "writes", List.of(
          c.record("Write", "key", bytes("a"), "value", bytes("1")),
          c.record("Write", "key", bytes(""), "value", bytes("no key")),
          c.record("Write", "key", bytes("b"), "value", null),
          c.record("Write", "key", bytes("c"), "value", bytes(""), "contentType", "text/plain"))));
      outcomes.put("multiGet", c.outcome("multiGet", "keys", List.of(bytes("a"), bytes(""), bytes("b"), bytes("c"))));
      outcomes.put("none", c.outcome("multiGet", "keys", List.of()));
      List<ByteBuffer> tooMany = new ArrayList<>();
      for (int i = 0; i <= 10_000; i++) tooMany.add(bytes("k" + i));
      outcomes.put("tooMany", c.outcome("multiGet", "keys", tooMany));
      return outcomes;
    }
  }

  static Object sizes(InetSocketAddress node) throws Exception {
    try (Connection c = Connection.open(node, Protocol.parse(new File(OURS)))) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      byte[] greatest = new byte[1024 * 1024];
      for (int i = 0; i < greatest.length; i++) greatest[i] = (byte) (i * 31);
      c.call("put", "key", bytes("greatest"), "value", ByteBuffer.wrap(greatest));
      GenericRecord found = (GenericRecord) ((GenericRecord) c.call("get", "key", bytes("greatest"))).get("found");
      outcomes.put("greatestIsTheSame", ByteBuffer.wrap(greatest).equals(found.get("value")));
      outcomes.put("greater", c.outcome("put", "key", bytes("greater"), "value", ByteBuffer.allocate(greatest.length + 1)));
      return outcomes;
    }
  }

  /** A client from a time when there was less: fewer messages, parameters, fields. */
  static Object older(InetSocketAddress node) throws Exception {
    Protocol protocol = Protocol.parse("""
        { "namespace": "bitacora.rpc", "protocol": "Database",
          "types": [
            { "type": "record", "name": "Value", "fields": [
              { "name": "offset", "type": "long" }, { "name": "value", "type": "bytes" } ] },
            { "type": "record", "name": "Reading", "fields": [ { "name": "found", "type": ["null", "Value"] } ] },
            { "type": "record", "name": "Written", "fields": [ { "name": "offset", "type": "long" } ] },
            { "type": "error", "name": "Failure", "fields": [ { "name": "code", "type": "string" } ] } ],
          "messages": {
            "get": { "request": [ { "name": "key", "type": "bytes" } ],
                     "response": "Reading", "errors": ["Failure"] },
            "put": { "request": [ { "name": "value", "type": "bytes" }, { "name": "key", "type": "bytes" } ],
                     "response": "Written", "errors": ["Failure"] } } }
        """);
    try (Connection c = Connection.open(node, protocol)) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      outcomes.put("put", c.outcome("put", "value", bytes("old"), "key", bytes("older")));
      outcomes.put("get", c.outcome("get", "key", bytes("older")));
      outcomes.put("emptyKey", c.outcome("get", "key", bytes("")));
      return outcomes;
    }
  }

  /** A client from a time when there is more: messages, parameters and fields that the node does not know. */
  static Object newer(InetSocketAddress node) throws Exception {
    Protocol protocol = Protocol.parse("""
        { "namespace": "bitacora.rpc", "protocol": "Database",
          "types": [
            { "type": "record", "name": "Value", "fields": [
              { "name": "value", "type": "bytes" },
              { "name": "offset", "type": "double" },
              { "name": "writer", "type": "string", "default": "unknown" } ] },
            { "type": "enum", "name": "Source", "symbols": ["CACHE", "PEER", "LOG"] },
            { "type": "record", "name": "Reading", "fields": [
              { "name": "source", "type": "Source" }, { "name": "found", "type": ["null", "Value"] } ] },
            { "type": "record", "name": "Written", "fields": [
              { "name": "offset", "type": "long" }, { "name": "replicas", "type": "int", "default": -1 } ] },
            { "type": "error", "name": "Failure", "fields": [
              { "name": "retryAfterMs", "type": ["null", "long"], "default": null }, { "name": "code", "type": "string" } ] } ],
          "messages": {
            "get": { "request": [ { "name": "asOfMs", "type": "long" }, { "name": "key", "type": "string" } ],
                     "response": "Reading", "errors": ["Failure"] },
            "put": { "request": [ { "name": "key", "type": "bytes" }, { "name": "value", "type": "bytes" },
                                  { "name": "tags", "type": { "type": "map", "values": "string" } } ],
                     "response": "Written", "errors": ["Failure"] },
            "scan": { "request": [ { "name": "prefix", "type": "bytes" } ],
                      "response": { "type": "array", "items": "Reading" }, "errors": ["Failure"] } } }
        """);
    try (Connection c = Connection.open(node, protocol)) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      outcomes.put("put", c.outcome("put", "key", bytes("newer"), "value", bytes("new"), "tags", Map.of("a", "b")));
      outcomes.put("get", c.outcome("get", "asOfMs", 1L, "key", "newer"));
      outcomes.put("emptyKey", c.outcome("get", "asOfMs", 1L, "key", ""));
      outcomes.put("scanIsAnError", c.outcome("scan", "prefix", bytes("n")).containsKey("error"));
      outcomes.put("afterwards", c.outcome("get", "asOfMs", 2L, "key", "newer"));
      return outcomes;
    }
  }

  /** A message that has a known name and parameters that cannot be read, beside one that fits. */
  static Object incompatible(InetSocketAddress node) throws Exception {
    Protocol protocol = Protocol.parse("""
        { "namespace": "bitacora.rpc", "protocol": "Database",
          "types": [ { "type": "error", "name": "Failure", "fields": [ { "name": "code", "type": "string" } ] } ],
          "messages": {
            "get": { "request": [ { "name": "key", "type": "int" } ], "response": "null", "errors": ["Failure"] },
            "remove": { "request": [ { "name": "key", "type": "bytes" } ],
                        "response": { "type": "record", "name": "Written", "fields": [ { "name": "offset", "type": "long" } ] },
                        "errors": ["Failure"] } } }
        """);
    try (Connection c = Connection.open(node, protocol)) {
      Map<String, Object> outcomes = new LinkedHashMap<>();
      outcomes.put("get", c.outcome("get", "key", 1));
      outcomes.put("remove", c.outcome("remove", "key", bytes("nothing")));
      return outcomes;
    }
  }

  /** Several threads that do not wait for answers, over one connection. */
  static Object pipelined(InetSocketAddress node) throws Exception {
    int threads = 4;
    int each = 1_000;
    try (Connection c = Connection.open(node, Protocol.parse(new File(OURS)))) {
      List<Integer> right = inThreads(threads, thread -> {
        List<CallFuture<GenericRecord>> puts = new ArrayList<>();
        for (int i = 0; i < each; i++) {
          puts.add(new CallFuture<>());
          ByteBuffer key = bytes("pipelined " + thread + " " + i);
          c.requestor().request("put", c.request("put", "key", key, "value", key), puts.get(i));
        }
        for (CallFuture<GenericRecord> put : puts) put.get();
        List<CallFuture<GenericRecord>> gets = new ArrayList<>();
        for (int i = 0; i < each; i++) {
          gets.add(new CallFuture<>());
          c.requestor().request("get", c.request("get", "key", bytes("pipelined " + thread + " " + i)), gets.get(i));
        }
        int equal = 0;
        for (int i = 0; i < each; i++) {
          GenericRecord found = (GenericRecord) gets.get(i).get().get("found");
          if (bytes("pipelined " + thread + " " + i).equals(found.get("value"))) equal += 1;
        }
        return equal;
      });
      Map<String, Object> outcome = entry("asked", threads * each);
      outcome.put("right", right.stream().mapToInt(Integer::intValue).sum());
      return outcome;
    }
  }

  /** Nothing in it is by chance, so that every run sends the same bytes. */
  static Object capture(InetSocketAddress node) throws Exception {
    int calls = 0;
    for (int connection = 0; connection < 2; connection++) {
      try (Connection c = Connection.open(node, Protocol.parse(new File(ORIGINAL)))) {
        c.call("setValue", "key", "clave", "value", "valor ñ");
        c.call("getValue", "key", "clave");
        c.call("delete", "key", "clave");
        c.call("getValue", "key", "clave");
        calls += 4;
      }
    }
    byte[] large = new byte[9_000];
    Arrays.fill(large, (byte) 'v');
    for (int connection = 0; connection < 2; connection++) {
      try (Connection c = Connection.open(node, Protocol.parse(new File(OURS)))) {
        c.call("put", "key", bytes("clave"), "value", bytes("valor ñ"), "contentType", "text/plain");
        c.call("get", "key", bytes("clave"));
        c.call("get", "key", bytes("clave"), "consistency", c.symbol("Consistency", "SESSION"),
            "positions", List.of(c.record("Position", "partition", 0, "position", 1L)));
        c.call("put", "key", bytes("grande"), "value", ByteBuffer.wrap(large));
        c.call("multiPut", "writes", List.of(
            c.record("Write", "key", bytes("uno"), "value", bytes("1")), c.record("Write", "key", bytes(""), "value", null)));
        c.call("multiGet", "keys", List.of(bytes("uno"), bytes("dos"), bytes("")));
        c.call("remove", "key", bytes("clave"));
        try {
          c.call("get", "key", bytes(""));
        } catch (AvroRemoteException expected) {
          // The answer is what the test looks at.
        }
        calls += 8;
      }
    }
    return entry("calls", calls);
  }

  static Object bench(InetSocketAddress node, int seconds, int threads) throws Exception {
    try (Connection c = Connection.open(node, Protocol.parse(new File(OURS)))) {
      c.call("put", "key", bytes("bench"), "value", ByteBuffer.wrap(new byte[100]));
      GenericRecord request = c.request("get", "key", bytes("bench"));
      Map<String, Object> rates = entry("threads", threads);
      rates.put("sequentialPerSecond", perSecond(c, request, seconds, 1));
      rates.put("concurrentPerSecond", perSecond(c, request, seconds, threads));
      return rates;
    }
  }

  /** Each thread waits for an answer before it asks again. The first second is for the compiler and does not count. */
  static long perSecond(Connection c, GenericRecord request, int seconds, int threads) throws Exception {
    long startNs = System.nanoTime() + 1_000_000_000L;
    long endNs = startNs + seconds * 1_000_000_000L;
    List<Integer> counts = inThreads(threads, thread -> {
      int calls = 0;
      for (long nowNs = System.nanoTime(); nowNs < endNs; nowNs = System.nanoTime()) {
        c.requestor().request("get", request);
        if (nowNs >= startNs) calls += 1;
      }
      return calls;
    });
    return counts.stream().mapToLong(Integer::longValue).sum() / seconds;
  }

  interface Work<T> {
    T of(int thread) throws Exception;
  }

  static <T> List<T> inThreads(int threads, Work<T> work) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<T>> running = new ArrayList<>();
      for (int thread = 0; thread < threads; thread++) {
        int number = thread;
        running.add(pool.submit(() -> work.of(number)));
      }
      List<T> results = new ArrayList<>();
      for (Future<T> each : running) results.add(each.get());
      return results;
    } finally {
      pool.shutdownNow();
    }
  }

  static GenericRecord built(Schema schema, Object... fields) {
    GenericRecordBuilder builder = new GenericRecordBuilder(schema);
    for (int i = 0; i < fields.length; i += 2) builder.set((String) fields[i], fields[i + 1]);
    return builder.build();
  }

  static ByteBuffer bytes(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
  }

  static Map<String, Object> entry(String name, Object value) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put(name, value);
    return map;
  }

  /** As JSON has it: bytes in hex, records as objects. */
  static Object plain(Object datum) {
    if (datum instanceof ByteBuffer bytes) {
      byte[] copy = new byte[bytes.remaining()];
      bytes.duplicate().get(copy);
      return HexFormat.of().formatHex(copy);
    }
    if (datum instanceof GenericRecord record) {
      Map<String, Object> fields = new LinkedHashMap<>();
      for (Schema.Field field : record.getSchema().getFields()) fields.put(field.name(), plain(record.get(field.pos())));
      return fields;
    }
    if (datum instanceof List<?> list) {
      List<Object> items = new ArrayList<>();
      for (Object item : list) items.add(plain(item));
      return items;
    }
    return datum == null || datum instanceof Number || datum instanceof Boolean ? datum : datum.toString();
  }
}
