import org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner;

/** One Elasticsearch node, see SingleNode. */
public class ElasticLauncher {
    public static void main(String[] arguments) throws Exception {
        SingleNode.run(arguments, "master", (settings, directory) -> {
            ElasticsearchClusterRunner runner = new ElasticsearchClusterRunner();
            runner.onBuild((number, builder) -> settings.forEach(builder::put));
            runner.build(ElasticsearchClusterRunner.newConfigs()
                .basePath(directory).numOfNode(1).clusterName(SingleNode.CLUSTER));
            return runner;
        });
    }
}
