//! Addresses in what people write.
use super::*;

fn check(text: &str, expected: &[&str]) {
    let tell = |a: Address| {
        let scheme = a.scheme.map(|s| format!("{s}://")).unwrap_or_default();
        let port = a.port.map(|p| format!(":{p}")).unwrap_or_default();
        let tls = a.tls.map(|t| if t { " tls" } else { " plain" }).unwrap_or_default();
        format!("{scheme}{}{port}{tls}{}", a.host, if a.password { " password" } else { "" })
    };
    let all: Vec<String> = addresses(text).into_iter().map(tell).collect();
    assert_eq!(all, expected, "{text}");
}

#[test]
fn addresses_of_many_kinds() {
    check("db", &["db"]);
    check("db.prod.svc.cluster.local:5432", &["db.prod.svc.cluster.local:5432"]);
    check("postgres://app:pw@DB:5432/shop?sslmode=require", &["postgres://db:5432 tls password"]);
    check("postgresql://db/shop?sslmode=disable", &["postgresql://db plain"]);
    check("postgresql://db/shop?sslmode=prefer", &["postgresql://db"]);
    check("jdbc:mysql://mysql:3306/app?useSSL=true", &["mysql://mysql:3306 tls"]);
    check(
        "mongodb://u:p@mongo-0.mongo:27017,mongo-1.mongo:27017/x?tls=true",
        &["mongodb://mongo-0.mongo:27017 tls password", "mongodb://mongo-1.mongo:27017 tls password"],
    );
    check("app:secret@tcp(mysql:3306)/shop", &["mysql://mysql:3306 password"]);
    check("kafka-0.kafka:9092,kafka-1.kafka:9092", &["kafka-0.kafka:9092", "kafka-1.kafka:9092"]);
    check("--redis=argocd-redis:6379", &["argocd-redis:6379"]);
    check("--server=https://api.example.com/v1", &["https://api.example.com"]);
    check("host=db port=5432", &["db"]);
    check("http://[::1]:80", &[]);
    check("not an address!", &["not", "an", "address"]);
    check("/etc/config", &[]);
    check("a:99999", &[]);
    check("://", &[]);
}

#[test]
fn names_say_what_is_under_them() {
    for name in [
        "DB_HOST",
        "REDIS_ADDR",
        "dbHost",
        "PAYMENT_SERVICE_ADDR",
        "--redis-server",
        "KAFKA_BROKERS",
        "PGHOST",
        "DATABASE_URL",
    ] {
        assert!(is_address_name(name), "{name}");
    }
    for name in ["LOG_LEVEL", "PASSWORD", "REPLICAS"] {
        assert!(!is_address_name(name), "{name}");
    }
    for name in ["DB_PASSWORD", "API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "pgPassword", "CLIENT_SECRET"] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in ["PASSWORD_FILE", "TOKEN_TTL", "KEY", "PUBLIC_KEY", "SECRET_NAME"] {
        assert!(!is_secret_name(name), "{name}");
    }
    for pair in [
        ("DB_HOST", "DB_PASSWORD"),
        ("PGHOST", "PGPASSWORD"),
        ("REDIS_URL", "REDIS_AUTH_TOKEN"),
        ("STRIPE_API_URL", "STRIPE_API_KEY"),
    ] {
        assert_eq!(stem(pair.0), stem(pair.1));
    }
    assert_ne!(stem("DB_HOST"), stem("REDIS_PASSWORD"));
}

#[test]
fn what_may_be_a_part_of_a_password_is_no_address() {
    for text in [
        "redis://:not-real/x@db:5432",
        "redis://:not-real.example.com#a@redis:6379",
        "postgres://u:1234/not-real@db/x",
        "--server=Password=not-real.example.com",
        "password=not-real.example.com",
        "Pwd=not-real.example.com",
    ] {
        let all = addresses(text);
        assert!(all.iter().all(|a| !a.host.contains("not-real") && a.host != "u"), "{text}: {all:?}");
    }
    let all = addresses("Server=db;Password=not-real.example.com;Port=5432");
    assert_eq!(all.iter().map(|a| a.host.as_str()).collect::<Vec<_>>(), ["db"]);
}
