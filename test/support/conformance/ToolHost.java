import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Exit;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Runs Kafka's command-line tools one after another without a new JVM for each: a line of JSON for each run comes in, and one
 * with the exit code and what the tool printed goes out. Ends with its input.
 */
public class ToolHost {
    private static final class Ended extends RuntimeException {
        Ended() { super("ended", null, false, false); }
    }

    /** What System.out and System.err stand for: loggers keep the stream that they saw first. */
    private static final class Switch extends OutputStream {
        volatile ByteArrayOutputStream target = new ByteArrayOutputStream();

        @Override public void write(int b) { target.write(b); }
        @Override public void write(byte[] bytes, int from, int length) { target.write(bytes, from, length); }
    }

    private static final List<Runnable> hooks = new ArrayList<>();
    private static volatile Integer exitCode;

    public static void main(String[] args) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, UTF_8);
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        ObjectMapper json = new ObjectMapper();
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new PrintStream(out, true, UTF_8));
        System.setErr(new PrintStream(err, true, UTF_8));
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));

        for (String line; (line = questions.readLine()) != null; ) {
            JsonNode question = json.readTree(line);
            out.target = new ByteArrayOutputStream();
            err.target = new ByteArrayOutputStream();
            System.setIn(new ByteArrayInputStream(question.get("stdin").asText().getBytes(UTF_8)));
            exitCode = null;
            run(question);
            answers.println(json.writeValueAsString(Map.of(
                "exitCode", exitCode == null ? 0 : exitCode,
                "stdout", out.target.toString(UTF_8),
                "stderr", err.target.toString(UTF_8))));
        }
        Runtime.getRuntime().halt(0);
    }

    /** A tool may call exit inside of a try that ends in another exit: the first one counts, as it would alone. */
    private static void end(int code) {
        if (exitCode == null) exitCode = code;
        throw new Ended();
    }

    private static void run(JsonNode question) throws Exception {
        List<String> args = new ArrayList<>();
        question.get("args").forEach(arg -> args.add(arg.asText()));
        try {
            Class.forName(question.get("main").asText())
                .getMethod("main", String[].class)
                .invoke(null, (Object) args.toArray(new String[0]));
        } catch (InvocationTargetException failed) {
            if (!(failed.getCause() instanceof Ended)) {
                failed.getCause().printStackTrace();
                if (exitCode == null) exitCode = 1;
            }
        } finally {
            for (Runnable hook : hooks) hook.run();
            hooks.clear();
        }
    }
}
