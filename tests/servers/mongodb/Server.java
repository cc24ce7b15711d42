import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

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

        @Override
        protected MongoDatabase openOrCreateDatabase(String name) {
            return new H2Database(name, getMvStore(), getCursorRegistry()) {
                @Override
                protected Index<Object> openOrCreateUniqueIndex(
                        String collection, String index, List<IndexKey> keys, boolean sparse) {
                    Index<Object> made = super.openOrCreateUniqueIndex(collection, index, keys, sparse);
                    return index.equals("_id_") ? new ById(made) : made;
                }
            };
        }
    }

    /**
     * The index on _id, used as MongoDB does: also where a query has other conditions beside it, for which the library would read all
     * documents. What was added since the start is remembered, since the library serializes keys in order to compare them.
     */
    private static class ById extends Index<Object> {
        private final Index<Object> index;
        private final Map<Object, Object> positions = new ConcurrentHashMap<>();

        ById(Index<Object> index) {
            super(index.getName(), index.getKeys(), false);
            this.index = index;
        }

        private static Document onlyId(Document query) {
            return new Document("_id", query.get("_id"));
        }

        @Override
        public boolean canHandle(Document query) {
            return query.containsKey("_id") && index.canHandle(onlyId(query));
        }

        @Override
        public Iterable<Object> getPositions(Document query) {
            Object id = query.get("_id");
            Object position = id instanceof String ? positions.get(id) : null;
            return position != null ? List.of(position) : index.getPositions(onlyId(query));
        }

        @Override
        public Object getPosition(Document document) {
            return index.getPosition(document);
        }

        @Override
        public void checkAdd(Document document, MongoCollection<Object> collection) {
            index.checkAdd(document, collection);
        }

        @Override
        public void add(Document document, Object position, MongoCollection<Object> collection) {
            index.add(document, position, collection);
            if (document.get("_id") instanceof String id) {
                positions.put(id, position);
            }
        }

        @Override
        public Object remove(Document document) {
            if (document.get("_id") instanceof String id) {
                positions.remove(id);
            }
            return index.remove(document);
        }

        @Override
        public void checkUpdate(Document before, Document after, MongoCollection<Object> collection) {
            index.checkUpdate(before, after, collection);
        }

        @Override
        public void updateInPlace(
                Document before, Document after, Object position, MongoCollection<Object> collection) {
            index.updateInPlace(before, after, position, collection);
        }

        @Override
        public long getCount() {
            return index.getCount();
        }

        @Override
        public long getDataSize() {
            return index.getDataSize();
        }

        @Override
        public boolean isUnique() {
            return index.isUnique();
        }

        @Override
        public void drop() {
            positions.clear();
            index.drop();
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
