import java.io.Closeable;
import java.util.Map;

/** One node on loopback: arguments HTTP port, transport port, directory. Ends with its input. */
final class SingleNode {
    static final String CLUSTER = "datto-test";

    /** Starts a product's node in a directory. */
    interface Start {
        Closeable with(Map<String, String> settings, String directory) throws Exception;
    }

    private SingleNode() {}

    /** Run a node until the input ends; leader is the product's name for the role that leads. */
    static void run(String[] arguments, String leader, Start start) throws Exception {
        Map<String, String> settings = Map.of(
            "http.port", arguments[0],
            "transport.port", arguments[1],
            "network.host", "127.0.0.1",
            "discovery.type", "single-node",
            "cluster.routing.allocation.disk.threshold_enabled", "false",
            "node.roles", leader + ",data,ingest");
        try (Closeable node = start.with(settings, arguments[2])) {
            while (System.in.read() >= 0) {
                continue;
            }
        }
    }
}
