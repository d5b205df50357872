import java.io.InputStream;
import org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner;

/** One Elasticsearch node on loopback: arguments HTTP port, transport port, directory. Ends with its input. */
public class ElasticLauncher {
    public static void main(String[] arguments) throws Exception {
        ElasticsearchClusterRunner runner = new ElasticsearchClusterRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", arguments[0]);
            settings.put("transport.port", arguments[1]);
            settings.put("network.host", "127.0.0.1");
            settings.put("discovery.type", "single-node");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.putList("node.roles", "master", "data", "ingest");
        });
        runner.build(ElasticsearchClusterRunner.newConfigs()
            .basePath(arguments[2]).numOfNode(1).clusterName("datto-test"));
        InputStream input = System.in;
        while (input.read() >= 0) {
            continue;
        }
        runner.close();
    }
}
