import java.io.InputStream;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node on loopback: arguments HTTP port, transport port, directory. Ends with its input. */
public class Launcher {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", arguments[0]);
            settings.put("transport.port", arguments[1]);
            settings.put("network.host", "127.0.0.1");
            settings.put("discovery.type", "single-node");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
        });
        runner.build(OpenSearchRunner.newConfigs()
            .basePath(arguments[2]).numOfNode(1).clusterName("datto-test"));
        InputStream input = System.in;
        while (input.read() >= 0) {
            continue;
        }
        runner.close();
    }
}
