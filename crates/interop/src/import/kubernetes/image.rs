//! What is in an image or behind a port, by the names that everybody uses.

/// Programs that keep data, by a word of their image's name.
const STORES: &[&str] = &[
    "postgres",
    "postgresql",
    "postgis",
    "timescaledb",
    "spilo",
    "cockroach",
    "mysql",
    "mariadb",
    "percona",
    "tidb",
    "mongo",
    "mongodb",
    "redis",
    "valkey",
    "keydb",
    "dragonfly",
    "memcached",
    "cassandra",
    "scylla",
    "couchdb",
    "couchbase",
    "elasticsearch",
    "opensearch",
    "solr",
    "kafka",
    "redpanda",
    "zookeeper",
    "etcd",
    "minio",
    "vault",
    "clickhouse",
    "influxdb",
    "neo4j",
    "rabbitmq",
    "mssql",
    "qdrant",
    "weaviate",
    "milvus",
    "registry",
];

/// Words in the name of an image that only works beside such a program.
const BESIDE: &[&str] = &[
    "exporter",
    "operator",
    "backup",
    "client",
    "proxy",
    "haproxy",
    "ui",
    "commander",
    "express",
    "admin",
    "web",
    "agent",
    "csi",
    "k8s",
    "manager",
    "curator",
    "dashboard",
    "connect",
    "rest",
    "tools",
    "init",
    "sentinel",
    "creds",
    "checker",
    "gateway",
    "dump",
    "loader",
    "seed",
    "migrate",
    "mapper",
    "console",
];

/// Ports of programs that keep data.
const STORE_PORTS: &[(u16, &str)] = &[
    (5432, "PostgreSQL"),
    (3306, "MySQL"),
    (27017, "MongoDB"),
    (6379, "Redis"),
    (11211, "memcached"),
    (9042, "Cassandra"),
    (5984, "CouchDB"),
    (9092, "Kafka"),
    (2379, "etcd"),
    (1433, "SQL Server"),
    (7687, "Neo4j"),
];

/// The name of an image without its registry, tag and digest: `bitnami/postgresql`.
pub(super) fn name(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let start = image.rfind('/').map_or(0, |at| at + 1);
    let (path, last) = image.split_at(start);
    let last = last.split_once(':').map_or(last, |(name, _)| name);
    image.get(..path.len() + last.len()).unwrap_or(image)
}

/// The program that keeps data and is what an image is.
pub(super) fn store(image: &str) -> Option<&'static str> {
    if is_beside(image) {
        return None;
    }
    let last = name(image).rsplit('/').next()?.to_ascii_lowercase();
    let words: Vec<&str> = last.split(['-', '_', '.']).collect();
    STORES.iter().find(|s| words.contains(s)).copied()
}

/// Whether an image only works beside a program that keeps data.
pub(super) fn is_beside(image: &str) -> bool {
    let last = name(image).rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    last.split(['-', '_', '.']).any(|w| BESIDE.contains(&w))
}

/// The program that keeps data and is usually behind a port.
pub(super) fn store_port(port: u16) -> Option<&'static str> {
    STORE_PORTS.iter().find(|(p, _)| *p == port).map(|(_, name)| *name)
}

/// The protocol of a port, by its `appProtocol` or name (`<protocol>` or `<protocol>-<anything>`), then by its number.
pub(super) fn protocol(said: Option<&str>, port: u16) -> &'static str {
    let said = said.map(|s| s.rsplit('/').next().unwrap_or(s).to_ascii_lowercase());
    let first = said.as_deref().map(|s| s.split('-').next().unwrap_or(s));
    match first {
        Some("http" | "http2" | "h2c" | "ws" | "web" | "metrics" | "ui" | "api") => "http",
        Some("https" | "tls" | "wss" | "ssl" | "webhook") => "tls",
        Some("grpc") => "grpc",
        Some("postgres" | "postgresql" | "pgsql") => "postgres",
        Some("tcp" | "mysql" | "mongo" | "mongodb" | "redis" | "amqp" | "kafka" | "mqtt" | "smtp") => "tcp",
        _ => match port {
            80 | 3000 | 5000 | 8000..=8099 | 8888 | 9000 | 9090 => "http",
            443 | 8443 | 9443 | 6443 | 10250 => "tls",
            5432 => "postgres",
            _ => "tcp",
        },
    }
}

/// The scheme that names a program which keeps data: the name of its node, and what it is.
pub(super) fn store_scheme(scheme: &str) -> Option<&'static str> {
    Some(match scheme {
        "postgres" | "postgresql" => "postgres",
        "mysql" | "mariadb" => "mysql",
        "mongodb" | "mongodb+srv" => "mongodb",
        "redis" | "rediss" | "valkey" => "redis",
        "amqp" | "amqps" => "rabbitmq",
        "sqlserver" => "mssql",
        "clickhouse" => "clickhouse",
        "kafka" => "kafka",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
