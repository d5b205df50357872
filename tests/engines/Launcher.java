import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node, see SingleNode. */
public class Launcher {
    public static void main(String[] arguments) throws Exception {
        SingleNode.run(arguments, "cluster_manager", (settings, directory) -> {
            OpenSearchRunner runner = new OpenSearchRunner();
            runner.onBuild((number, builder) -> settings.forEach(builder::put));
            runner.build(OpenSearchRunner.newConfigs()
                .basePath(directory).numOfNode(1).clusterName(SingleNode.CLUSTER));
            return runner;
        });
    }
}
