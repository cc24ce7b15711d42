import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;

/**
 * A server of MongoDB's protocol that keeps its data in a file: Server DATAFILE PORT [changes]. SIGTERM ends it in order; by a SIGKILL it
 * forgets up to a second of those writes that did not ask for the journal. With `changes` it has change streams, and takes twice as long.
 */
public class Server {
    /** New enough for PyMongo, which the versions that the library knows are not. */
    private enum Version implements MongoVersion {
        MONGO_4_4;

        @Override
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
            return 9;
        }
    }

    /** With what the library leaves out. */
    private static class Backend extends H2Backend {
        Backend(String file) {
            super(file);
        }

        @Override
        public Document handleMessage(MongoMessage message) {
            Document answer = super.handleMessage(message);
            Document command = message.getDocument();
            if (command.get("writeConcern") instanceof Document concern && Boolean.TRUE.equals(concern.get("j"))) {
                commit();
            }
            if (command.containsKey("aggregate")) {
                // Where a change stream begins: PyMongo insists on it.
                answer.put("operationTime", new BsonTimestamp(getClock().instant(), 0));
            }
            return answer;
        }
    }

    public static void main(String[] arguments) {
        Backend backend = new Backend(arguments[0]);
        backend.version(Version.MONGO_4_4);
        MongoServer server = new MongoServer(backend);
        if (arguments.length > 2) {
            server.enableOplog();
        }
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind("127.0.0.1", Integer.parseInt(arguments[1]));
    }
}
