import com.fasterxml.jackson.databind.ObjectMapper;
import com.fluenda.parcefone.event.CommonEvent;
import com.fluenda.parcefone.parser.CEFParser;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** ParCEFone: decodes every line of a file and writes header and extension as JSON, round after round.
 *  Prints events a second of the best round, and how many lines gave an event. */
public final class Peer {
    public static void main(String[] args) throws Exception {
        List<String> lines = Files.readAllLines(Path.of(args[0]), StandardCharsets.UTF_8);
        CEFParser parser = new CEFParser();
        ObjectMapper json = new ObjectMapper();
        double best = 0;
        int good = 0;
        for (int round = 0; round < Integer.parseInt(args[1]); round++) {
            good = 0;
            long begun = System.nanoTime();
            for (String line : lines) {
                CommonEvent event;
                try {
                    event = parser.parse(line, false);
                } catch (RuntimeException refused) {
                    continue;
                }
                if (event == null) continue;
                json.writeValueAsBytes(event.getHeader());
                json.writeValueAsBytes(event.getExtension(true));
                good++;
            }
            best = Math.max(best, lines.size() / ((System.nanoTime() - begun) / 1e9));
        }
        System.out.printf("%.0f %d%n", best, good);
    }
}
