//! Images that everybody knows: what they are, where they answer, and how they ask for proof.
/// What an image is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) port: u16,
    pub(super) protocol: &'static str,
    /// What it keeps.
    pub(super) keeps: &'static str,
}

const fn product(name: &'static str, port: u16, protocol: &'static str, keeps: &'static str) -> Product {
    Product { name, port, protocol, keeps }
}

/// What keeps data.
const STORES: [Product; 42] = [
    product("postgres", 5432, "postgres", "records"),
    product("postgresql", 5432, "postgres", "records"),
    product("postgis", 5432, "postgres", "records"),
    product("pgvector", 5432, "postgres", "records"),
    product("timescaledb", 5432, "postgres", "records"),
    product("cockroach", 26257, "postgres", "records"),
    product("mysql", 3306, "tcp", "records"),
    product("mariadb", 3306, "tcp", "records"),
    product("percona", 3306, "tcp", "records"),
    product("mssql", 1433, "tcp", "records"),
    product("mongo", 27017, "tcp", "documents"),
    product("mongodb", 27017, "tcp", "documents"),
    product("redis", 6379, "tcp", "entries"),
    product("valkey", 6379, "tcp", "entries"),
    product("keydb", 6379, "tcp", "entries"),
    product("dragonfly", 6379, "tcp", "entries"),
    product("memcached", 11211, "tcp", "entries"),
    product("rabbitmq", 5672, "tcp", "messages"),
    product("activemq", 61616, "tcp", "messages"),
    product("kafka", 9092, "tcp", "messages"),
    product("redpanda", 9092, "tcp", "messages"),
    product("nats", 4222, "tcp", "messages"),
    product("mosquitto", 1883, "tcp", "messages"),
    product("zookeeper", 2181, "tcp", "settings"),
    product("etcd", 2379, "http", "settings"),
    product("consul", 8500, "http", "settings"),
    product("vault", 8200, "http", "settings"),
    product("elasticsearch", 9200, "http", "documents"),
    product("opensearch", 9200, "http", "documents"),
    product("solr", 8983, "http", "documents"),
    product("couchdb", 5984, "http", "documents"),
    product("cassandra", 9042, "tcp", "records"),
    product("scylla", 9042, "tcp", "records"),
    product("clickhouse", 8123, "http", "records"),
    product("influxdb", 8086, "http", "records"),
    product("neo4j", 7687, "tcp", "records"),
    product("minio", 9000, "http", "files"),
    product("qdrant", 6333, "http", "records"),
    product("weaviate", 8080, "http", "records"),
    product("milvus", 19530, "grpc", "records"),
    product("dynamodb", 8000, "http", "records"),
    product("registry", 5000, "http", "files"),
];
/// What only stands beside a store that it is named after.
const BESIDE: [&str; 33] = [
    "exporter",
    "express",
    "ui",
    "commander",
    "insight",
    "redisinsight",
    "operator",
    "backup",
    "admin",
    "manager",
    "connect",
    "connector",
    "proxy",
    "cli",
    "client",
    "init",
    "tools",
    "agent",
    "setup",
    "rest",
    "schema",
    "dashboards",
    "dashboard",
    "web",
    "console",
    "browser",
    "gui",
    "adapter",
    "sync",
    "migrate",
    "migrations",
    "seed",
    "meta",
];
/// Services that answer at a known port.
const SERVICES: [(&str, u16); 16] = [
    ("nginx", 80),
    ("httpd", 80),
    ("traefik", 80),
    ("caddy", 80),
    ("haproxy", 80),
    ("envoy", 10000),
    ("kong", 8000),
    ("wordpress", 80),
    ("grafana", 3000),
    ("prometheus", 9090),
    ("keycloak", 8080),
    ("nextcloud", 80),
    ("ghost", 2368),
    ("phpmyadmin", 80),
    ("adminer", 8080),
    ("pgadmin4", 80),
];

/// The words of an image's name, without registry, tag and digest.
fn words(image: &str) -> Vec<String> {
    let name = image.split('@').next().unwrap_or_default();
    let (path, last) = name.rsplit_once('/').map_or(("", name), |(path, last)| (path, last));
    let last = last.split(':').next().unwrap_or_default();
    // `mcr.microsoft.com/mssql/server`: the owner says what it is.
    let owner = path.rsplit('/').next().filter(|o| *o == "mssql").unwrap_or_default();
    let all = last.split(['-', '_', '.']).chain([owner]);
    all.filter(|w| !w.is_empty()).map(str::to_ascii_lowercase).collect()
}

/// The store that an image is.
pub(super) fn store(image: &str) -> Option<Product> {
    let words = words(image);
    if words.iter().any(|w| BESIDE.contains(&w.as_str())) {
        return None;
    }
    STORES.into_iter().find(|p| words.iter().any(|w| w == p.name))
}

/// The port of a service that an image is.
pub(super) fn service_port(image: &str) -> Option<u16> {
    let words = words(image);
    SERVICES.iter().find(|(name, _)| words.iter().any(|w| w == name)).map(|(_, port)| *port)
}

/// Whether an image is a proxy that reads its routes from the labels of containers.
pub(super) fn routes_by_labels(image: &str) -> bool {
    words(image).iter().any(|w| w == "traefik")
}
