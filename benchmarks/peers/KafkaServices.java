import org.apache.beam.fn.harness.ExternalWorkerService;
import org.apache.beam.sdk.expansion.service.ExpansionServer;
import org.apache.beam.sdk.expansion.service.ExpansionService;
import org.apache.beam.sdk.options.PipelineOptionsFactory;

/**
 * What Python pipelines need of Java for KafkaIO: who expands its transforms, and who runs them.
 *
 * <p>Beam's own main classes listen on all interfaces; this listens on the loopback one, and prints the
 * address of the expansion service.
 */
public final class KafkaServices {
  public static void main(String[] args) throws Exception {
    var workers = new ExternalWorkerService(PipelineOptionsFactory.create()).start();
    var service =
        new ExpansionService(
            new String[] {
              "--defaultEnvironmentType=EXTERNAL",
              "--defaultEnvironmentConfig=" + workers.getApiServiceDescriptor().getUrl()
            });
    var server = ExpansionServer.create(service, "127.0.0.1", 0);
    System.out.println("127.0.0.1:" + server.getPort());
    Thread.currentThread().join();
  }
}
