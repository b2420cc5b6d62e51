//! Images and ports that everybody knows.
use super::*;

#[test]
fn programs_that_keep_data_by_their_image() {
    for (image, expected) in [
        ("postgres:16", Some("postgres")),
        ("docker.io/bitnami/postgresql:16.1.0-debian-11-r9", Some("postgresql")),
        ("registry.example:5000/library/redis@sha256:0123", Some("redis")),
        ("gcr.io/google-samples/gb-redis-follower:v2", Some("redis")),
        ("mongo", Some("mongo")),
        ("quay.io/minio/minio:RELEASE", Some("minio")),
        ("mongo-express:1.0", None),
        ("oliver006/redis_exporter", None),
        ("redis-commander", None),
        ("hashicorp/vault-k8s:1.3", None),
        ("nginx:1.27", None),
        ("shop/postgres-client", None),
        ("", None),
    ] {
        assert_eq!(store(image), expected, "{image}");
    }
    assert_eq!(name("registry.example:5000/a/b:1.2@sha256:00"), "registry.example:5000/a/b");
}

#[test]
fn protocols_by_name_then_by_number() {
    for (said, port, expected) in [
        (Some("http"), 9, "http"),
        (Some("http-web"), 9, "http"),
        (Some("https-webhook"), 9, "tls"),
        (Some("grpc-api"), 9, "grpc"),
        (Some("kubernetes.io/h2c"), 9, "http"),
        (Some("mongo"), 27017, "tcp"),
        (Some("db"), 5432, "postgres"),
        (None, 80, "http"),
        (None, 443, "tls"),
        (None, 12345, "tcp"),
    ] {
        assert_eq!(protocol(said, port), expected, "{said:?} {port}");
    }
}
