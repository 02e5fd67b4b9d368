import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the records of a tboxgate gateway, each at least once.
 *
 * <pre>java Consumer.java HOST:PORT [STREAM [DURABLE [COUNT]]]</pre>
 *
 * A durable consumer: the server remembers what was acknowledged, so that a consumer that comes back goes on where
 * it was. This file needs the JDK alone: it speaks NATS' text protocol itself, and finds keys with a regular
 * expression. With io.nats:jnats and a JSON library only {@link #records} and {@link #show} are left.
 */
public final class Consumer {
    private final InputStream in;
    private final OutputStream out;
    private final String inbox = "_INBOX." + UUID.randomUUID().toString().replace("-", "");

    /** A message: a status ("" for a stored one), where to acknowledge it, and its body. */
    record Message(String status, String reply, byte[] body) {}

    public static void main(String[] args) throws IOException {
        String stream = args.length > 1 ? args[1] : "GBT32960";
        String durable = args.length > 2 ? args[2] : "app";
        int count = args.length > 3 ? Integer.parseInt(args[3]) : 0;
        int colon = args[0].lastIndexOf(':');
        try (Socket socket = new Socket(args[0].substring(0, colon), Integer.parseInt(args[0].substring(colon + 1)))) {
            new Consumer(socket).consume(stream, durable, count);
        }
    }

    Consumer(Socket socket) throws IOException {
        in = new BufferedInputStream(socket.getInputStream());
        out = socket.getOutputStream();
        line(); // INFO
        // With credentials: "user" and "pass".
        send("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nSUB " + inbox + " 1\r\nPING\r\n");
        for (String l = line(); !l.equals("PONG"); l = line()) {
            if (l.startsWith("-ERR")) {
                throw new IOException(l);
            }
        }
    }

    void consume(String stream, String durable, int count) throws IOException {
        publish("$JS.API.CONSUMER.DURABLE.CREATE." + stream + "." + durable, inbox, "{\"stream_name\":\"" + stream
            + "\",\"config\":{\"durable_name\":\"" + durable + "\",\"ack_policy\":\"explicit\",\"deliver_policy\":\"all\"}}");
        String answer = new String(next().body, StandardCharsets.UTF_8);
        if (answer.contains("\"error\"")) {
            throw new IOException(answer);
        }
        for (int seen = 0; ;) {
            int batch = count > 0 ? Math.min(100, count - seen) : 100; // what is asked for and not acknowledged comes again
            publish("$JS.API.CONSUMER.MSG.NEXT." + stream + "." + durable, inbox, "{\"batch\":" + batch + ",\"expires\":5000000000}");
            for (int i = 0; i < batch; i++) {
                Message m = next();
                if (!m.status.isEmpty()) {
                    break; // 408: nothing came in time; ask again
                }
                seen += records(m.body); // do your work there, and acknowledge when it is done
                publish(m.reply, "", "+ACK");
                if (count > 0 && seen >= count) {
                    return;
                }
            }
        }
    }

    /** Shows the records of one message, in either layout, and returns their number. */
    static int records(byte[] body) {
        int n = 0;
        for (int at = 0; at < body.length; n++) {
            int end = at;
            while (end < body.length && body[end] != '\n') {
                end++;
            }
            String json = new String(body, at, end - at, StandardCharsets.UTF_8);
            at = end + 1;
            byte[] frame = null;
            if (json.startsWith("{\"rawBytes\":")) {
                int size = Integer.parseInt(key(json, "rawBytes", "(\\d+)"));
                frame = Arrays.copyOfRange(body, at, at + size);
                at += size + 1;
            }
            show(json, frame);
        }
        return n;
    }

    static void show(String json, byte[] frame) {
        String what;
        if (frame != null) {
            what = String.format("0x%02X %d bytes", frame[2], frame.length);
        } else {
            what = key(json, "command", "\"([^\"]*)\"");
            String soc = key(json, "soc", "([\\d.]+|null)");
            if (!soc.isEmpty()) {
                what += " soc=" + soc;
            }
        }
        System.out.println(key(json, "vin", "\"([^\"]*)\"") + " " + key(json, "receivedAt", "\"([^\"]*)\"") + " " + what);
    }

    /** The first value of a key, "" when there is none. */
    static String key(String json, String key, String value) {
        Matcher m = Pattern.compile("\"" + key + "\":" + value).matcher(json);
        return m.find() ? m.group(1) : "";
    }

    private void send(String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    private void publish(String subject, String reply, String body) throws IOException {
        send("PUB " + subject + " " + reply + " " + body.getBytes(StandardCharsets.UTF_8).length + "\r\n" + body + "\r\n");
    }

    private Message next() throws IOException {
        for (;;) {
            String[] words = line().split(" ");
            switch (words[0]) {
                case "PING" -> send("PONG\r\n");
                case "-ERR" -> throw new IOException(String.join(" ", words));
                case "MSG", "HMSG" -> {
                    int header = words[0].equals("HMSG") ? Integer.parseInt(words[words.length - 2]) : 0;
                    String reply = words.length == (header > 0 ? 6 : 5) ? words[3] : "";
                    byte[] data = in.readNBytes(Integer.parseInt(words[words.length - 1]));
                    in.readNBytes(2);
                    String[] first = new String(data, 0, header, StandardCharsets.UTF_8).split("\r\n")[0].split(" ");
                    return new Message(first.length > 1 ? first[1] : "", reply, Arrays.copyOfRange(data, header, data.length));
                }
                default -> { }
            }
        }
    }

    private String line() throws IOException {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new EOFException("the server has gone");
            }
            b.write(c);
        }
        return b.toString(StandardCharsets.UTF_8).strip();
    }
}
