//! Compose files: what becomes of services, and that no value of a secret goes anywhere.
use expect_test::expect;
use model::{Model, SourceFile};
use posture::{Attack, Input, Question, Severity};
use proptest::prelude::*;

use super::{
    super::{Imported, import},
    environment::{self, Address},
    image, ports,
};

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn model(imported: &Imported) -> Model {
    let loaded = model::load(&[file("ward.yaml", &imported.written.text)]);
    loaded.model.unwrap_or_else(|| panic!("{:?}\n{}", loaded.diagnostics, imported.written.text))
}

const TYPICAL: &str = r#"
name: shop
x-common: &common
  restart: always
  environment: &env
    LOG_LEVEL: info
services:
  web:
    <<: *common
    image: nginx:1.27
    ports: ["80:80", "127.0.0.1:9000:9000"]
    depends_on: { api: { condition: service_healthy } }
    networks: [front]
  api:
    build: ./api
    environment:
      <<: *env
      DATABASE_URL: postgres://shop:hunter2-V4lue@db:5432/shop
      REDIS_URL: redis://cache:6379/0
      STRIPE_API_KEY: sk_live_V4lue
      JWT_SECRET: ${JWT_SECRET}
      SMTP_HOST: ${SMTP_HOST:-mail}
      SENTRY_DSN: https://V4lue@o1.ingest.example.com/1
    networks: [front, back]
  worker:
    extends: { service: api }
    env_file: [worker.env]
    secrets: [signing]
  db:
    image: postgres:16@sha256:0000
    environment:
      - POSTGRES_PASSWORD=hunter2-V4lue
    ports: ["5432:5432"]
    volumes: ["pgdata:/var/lib/postgresql/data"]
    networks: [back]
  cache:
    image: bitnami/redis:7
    command: redis-server --requirepass other-V4lue
    networks: [back]
  mail:
    image: axllent/mailpit
    profiles: [dev]
    networks: [back]
networks:
  front:
  back: { internal: true }
volumes: { pgdata: }
secrets:
  signing: { file: ./signing.key }
"#;

#[test]
fn a_typical_project() {
    let imported = import(&[file("shop/compose.yaml", TYPICAL)], None).unwrap();
    expect![[r##"
        # Imported from shop/compose.yaml.
        # What the sources do not say is guessed, and marked `# guessed:` with the reason: look at each.
        # Nothing here runs under Ward yet: give a node `run` or `attest`, and its flows are enforced.
        #
        # Seen, and not taken over:
        #   shop/compose.yaml:27: `env_file` of `worker` (the file is not read: calls and secrets in it are missing)
        ward: 1
        model: shop

        zones:
          front: {}
          internet: { trust: none }
          # shop/compose.yaml:46: internal, no way leads out of it
          back: {}

        data:
          # what `db` keeps: no compose file says how sensitive that is
          db-records:
            class: internal  # guessed: nothing says how sensitive it is
          # what `cache` keeps: no compose file says how sensitive that is
          cache-entries:
            class: internal  # guessed: nothing says how sensitive it is
          # shop/compose.yaml:20 env STRIPE_API_KEY
          # its value is written in the file: whoever reads that has it
          api-stripe-api-key: { class: secret }
          # shop/compose.yaml:21 env JWT_SECRET
          api-jwt-secret: { class: secret }
          # shop/compose.yaml:28: kept in a file beside the compose file
          signing: { class: secret }
          # shop/compose.yaml:32 env POSTGRES_PASSWORD
          # its value is written in the file: whoever reads that has it
          # shop/compose.yaml:18 env DATABASE_URL
          db-postgres-password:
            class: secret
            opens: [db]  # guessed: the store is given it: shop/compose.yaml:32 env POSTGRES_PASSWORD
          # shop/compose.yaml:38 command
          # its value is written in the file: whoever reads that has it
          cache-password:
            class: secret
            opens: [cache]  # guessed: the store is given it: shop/compose.yaml:38 command
          # what is said between services: no compose file says what that is
          requests:
            class: internal  # guessed: nothing says how sensitive it is
          # what is sent to others: say what that is, and how sensitive
          outbound:
            class: internal  # guessed: nothing says how sensitive it is

        nodes:
          # shop/compose.yaml:9: image nginx:1.27
          # shop/compose.yaml:9: published on the machine itself only is port 9000
          web:
            zone: front
            kind: service
            serves: [{ port: 80, protocol: http }, { port: 9000, protocol: http }]  # guessed: what a port speaks is known by its number only
            exposed_to: [internet]  # guessed: published on every address of the machine is port 80; whether the internet reaches that, no compose file says
          # shop/compose.yaml:15: built here
          # on the networks front, back: it lies in the first
          api: { zone: front, kind: service, holds: [api-stripe-api-key, api-jwt-secret, db-postgres-password] }
          # shop/compose.yaml:26: built here
          # on the networks front, back: it lies in the first
          worker: { zone: front, kind: service, holds: [api-stripe-api-key, api-jwt-secret, signing, db-postgres-password] }
          # shop/compose.yaml:30: image postgres:16
          db:
            zone: back
            kind: store  # guessed: its image `postgres:16` is postgres
            serves: [{ port: 5432, protocol: postgres }]  # guessed: the port that its image has, and what is published
            exposed_to: [internet]  # guessed: published on every address of the machine is port 5432; whether the internet reaches that, no compose file says
            holds: [db-records]  # guessed: it is a store
            at_rest: none  # guessed: nothing says that the volume `pgdata` is encrypted
            auth: password  # guessed: it is given `POSTGRES_PASSWORD`
          # shop/compose.yaml:37: image bitnami/redis:7
          cache:
            zone: back
            kind: store  # guessed: its image `bitnami/redis:7` is redis
            serves: [{ port: 6379, protocol: tcp }]  # guessed: the port that its image has, and what is published
            holds: [cache-entries]  # guessed: it is a store
            auth: password  # guessed: its command says so
          # shop/compose.yaml:41: image axllent/mailpit
          # only started with the profile dev
          mail: { zone: back, kind: service }
          anybody:
            kind: party  # guessed: whoever connects to a published port
            zone: internet  # guessed: no compose file says who can connect
          # called by shop/compose.yaml:23 env SENTRY_DSN; what runs there is not in what was read
          o1-ingest-example-com: { kind: service, zone: internet }

        flows:
          # from shop/compose.yaml:18 env DATABASE_URL
          - id: api-db
            from: api
            to: db
            carries: [db-records, db-postgres-password]  # guessed: what moves between the two is not known
            returns: [db-records]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
          # from shop/compose.yaml:19 env REDIS_URL
          - id: api-cache
            from: api
            to: cache
            carries: [cache-entries]  # guessed: what moves between the two is not known
            returns: [cache-entries]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
              tls: none
          # from shop/compose.yaml:22 env SMTP_HOST
          - id: api-mail
            from: api
            to: mail
            carries: [requests]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
          # from shop/compose.yaml:18 env DATABASE_URL
          - id: worker-db
            from: worker
            to: db
            carries: [db-records, db-postgres-password]  # guessed: what moves between the two is not known
            returns: [db-records]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
          # from shop/compose.yaml:19 env REDIS_URL
          - id: worker-cache
            from: worker
            to: cache
            carries: [cache-entries]  # guessed: what moves between the two is not known
            returns: [cache-entries]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
              tls: none
          # from shop/compose.yaml:22 env SMTP_HOST
          - id: worker-mail
            from: worker
            to: mail
            carries: [requests]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
          # guessed of shop/compose.yaml:12 depends_on: that it calls it nobody says
          - id: web-api
            from: web
            to: api
            carries: [requests]  # guessed: what moves between the two is not known
            via:
              local: true  # guessed: both are containers of one machine, and a bridge network does not leave it
          - id: anybody-web
            from: anybody
            to: web
            carries: [requests]  # guessed: a port of HTTP is published
            via:
              tls: none  # guessed: port 80 is not one of TLS; if a proxy before it speaks TLS, say so
          # from shop/compose.yaml:23 env SENTRY_DSN
          - id: api-o1-ingest-example-com
            from: api
            to: o1-ingest-example-com
            carries: [outbound]  # guessed: what is sent there is not in what was read
            via:
              tls: "1.2"  # guessed: `https`, and at least 1.2 today
          # from shop/compose.yaml:23 env SENTRY_DSN
          - id: worker-o1-ingest-example-com
            from: worker
            to: o1-ingest-example-com
            carries: [outbound]  # guessed: what is sent there is not in what was read
            via:
              tls: "1.2"  # guessed: `https`, and at least 1.2 today
    "##]].assert_eq(&imported.written.text);
    let found = findings(&model(&imported));
    expect![[r#"
        Critical exposed-admin@db
        High plaintext-flow@anybody-web
        High unguarded-entry@web
        Medium shared-credential@db-postgres-password
        Medium static-secret@api-jwt-secret
    "#]]
    .assert_eq(&found);
}

/// Findings with their severities, one a line.
fn findings(model: &Model) -> String {
    let today = posture_day();
    let found = posture::grade(Input { model, text: None, today });
    found.iter().map(|f| format!("{:?} {}\n", f.severity, f.id)).collect()
}

fn posture_day() -> time::Date {
    time::Date::from_calendar_date(2026, time::Month::January, 1).unwrap()
}

#[test]
fn what_is_not_known_makes_no_severe_finding() {
    let text = "services:\n  web: { image: example/web }\n  api: { image: example/api, depends_on: [db, queue] }\n  db: { image: mysql:8 }\n  queue: { image: rabbitmq }\n";
    let imported = import(&[file("compose.yaml", text)], None).unwrap();
    let found = posture::grade(Input { model: &model(&imported), text: None, today: posture_day() });
    let severe: Vec<&str> = found.iter().filter(|f| f.severity > Severity::Low).map(|f| f.id.as_str()).collect();
    assert_eq!(severe, Vec::<&str>::new());
}

#[test]
fn no_value_of_a_secret_goes_anywhere() {
    let text = r#"
services:
  app:
    image: example/app
    command: ["serve", "--db=postgres://u:V4lue@db/x", "--requirepass", "V4lue"]
    environment:
      - DB_PASSWORD=V4lue
      - "API_TOKEN: V4lue"
      - PASSWORD V4lue
      - URL=postgres://user:V4/lue@V4lue@db:5432/x
      - OTHER=postgres://user:5432/V4lue@db/x
      - MYSQL_DSN=user:V4lue@tcp(db:3306)/x
      - BROKER=amqp://guest:V4lue@db:5672/%2f
      - LIST=mongodb://a:V4lue@db:1,db2:2/x?replicaSet=V4lue
      - HOOK=https://hooks.example.com/services/V4lue
      - V4lue
    labels: { token: V4lue }
    healthcheck: { test: "curl -u a:V4lue http://localhost" }
  db:
    image: postgres
    environment: { POSTGRES_PASSWORD: V4lue, "POSTGRES V4lue": x }
"#;
    let imported = import(&[file("compose.yaml", text)], None).unwrap();
    let told = serde_json::to_string(&imported).unwrap();
    assert!(!told.contains("V4lue") && !told.contains("v4lue"), "{}", imported.written.text);
    let broken = format!("{text}    bad: [V4lue\n");
    let error = import(&[file("compose.yaml", &broken)], None).unwrap_err().to_string();
    assert!(!error.contains("V4lue") && error.starts_with("compose.yaml: line "), "{error}");
}

#[test]
fn power_over_the_machine_is_a_way_to_everything() {
    for (text, place) in [
        ("volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\"]", "docker's socket"),
        ("volumes: [{ type: bind, source: /, target: /host }]", "the whole machine"),
        ("privileged: true", "privileged"),
        ("cap_add: [SYS_ADMIN]", "a capability"),
        ("pid: host", "the processes"),
    ] {
        let text = format!(
            "services:\n  agent:\n    image: example/agent\n    ports: [\"80\"]\n    {text}\n  db: {{ image: postgres }}\n"
        );
        let imported = import(&[file("compose.yaml", &text)], None).unwrap();
        assert!(imported.written.text.contains(place), "{}", imported.written.text);
        let model = model(&imported);
        let question = Question {
            assume: vec!["control agent".to_owned()],
            to: vec!["db-records".to_owned()],
            ..Question::default()
        };
        let paths = Attack::new(&model).paths(&question, None).unwrap();
        assert!(!paths.is_empty(), "{place}: {}", imported.written.text);
    }
}

#[test]
fn ports_in_all_forms() {
    let yaml = |text: &str| model::tree::Tree::yaml(text).unwrap().remove(0);
    let shown = |text: &str| match ports::published(&yaml(text)) {
        None => "unread".to_owned(),
        Some(all) => all
            .iter()
            .map(|p| {
                format!(
                    "{:?}:{}{}{}",
                    p.host.unwrap_or_default(),
                    p.target,
                    if p.loopback { " local" } else { "" },
                    if p.udp { " udp" } else { "" }
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
    };
    for (text, wanted) in [
        ("80", "0:80"),
        ("\"8080:80\"", "8080:80"),
        ("\"127.0.0.1:8080:80\"", "8080:80 local"),
        ("\"[::1]:8080:80\"", "8080:80 local"),
        ("\"0.0.0.0:8080:80/tcp\"", "8080:80"),
        ("\"127.0.0.1::80\"", "0:80 local"),
        ("\"53:53/udp\"", "53:53 udp"),
        ("\"3000-3001:4000-4001\"", "3000:4000, 3001:4001"),
        ("\"${PORT:-8080}:${INNER:-80}\"", "8080:80"),
        ("\"${PORT}:80\"", "0:80"),
        ("\"80:${INNER}\"", "unread"),
        ("{ target: 80, published: \"8080\", host_ip: 127.0.0.1, protocol: tcp }", "8080:80 local"),
        ("{ target: x }", "unread"),
        ("\"99999:80\"", "0:80"),
        ("\"80:0\"", "unread"),
        ("\"9-1\"", "unread"),
    ] {
        assert_eq!(shown(text), wanted, "{text}");
    }
    assert_eq!(ports::published(&yaml("\"1-65535\"")).unwrap().len(), 16);
}

#[test]
fn addresses_in_all_forms() {
    let shown = |text: &str| {
        let one = |a: &Address| {
            format!(
                "{}|{}|{}|{}",
                a.scheme.as_deref().unwrap_or("-"),
                a.host,
                a.port.unwrap_or_default(),
                a.password.is_some()
            )
        };
        environment::addresses(text).iter().map(one).collect::<Vec<_>>().join(" ")
    };
    for (text, wanted) in [
        ("postgres://u:p@db:5432/x", "postgres|db|5432|true"),
        ("postgres://u:p@ss@db/x", "postgres|db|0|true"),
        ("postgres://u:5/p@db/x", ""),
        ("jdbc:postgresql://db:5432/x", "postgresql|db|5432|false"),
        ("redis://:p@cache:6379/0", "redis|cache|6379|true"),
        ("kafka-1:9092,kafka-2:9092", "-|kafka-1|9092|false -|kafka-2|9092|false"),
        ("mongodb://a:1,b:2/x", "mongodb|a|1|false mongodb|b|2|false"),
        ("http://localhost:3000", ""),
        ("https://10.0.0.1/x", ""),
        ("postgres://u:${PW}@db:${PORT}/x", "postgres|db|0|true"),
        ("http://a:1,http://b:2", "http|a|1|false"),
        ("not an address", "-|not|0|false -|an|0|false -|address|0|false"),
        ("a:b:c", ""),
        ("://x", ""),
    ] {
        assert_eq!(shown(text), wanted, "{text}");
    }
    assert_eq!(environment::interpolate("a${B:-c}$$d${E}f${G-h}$i${"), "ac$d${E}fh$i${");
}

#[test]
fn names_of_secrets() {
    for name in [
        "DB_PASSWORD",
        "PGPASSWORD",
        "API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "token",
        "SECRET_KEY_BASE",
        "MYSQL_ROOT_PASSWORD",
        "DB_PWD",
    ] {
        assert!(environment::is_secret(name, Some("x")), "{name}");
    }
    for name in [
        "PASSWORD_FILE",
        "TOKEN_TTL",
        "PUBLIC_KEY",
        "PWD",
        "KEY",
        "AWS_ACCESS_KEY_ID",
        "SECRET_NAME",
        "HOST",
        "CACHE_KEY",
        "TOKEN_URL",
    ] {
        assert!(!environment::is_secret(name, Some("x")), "{name}");
    }
    for value in ["", "true", "no"] {
        assert!(!environment::is_secret("DB_PASSWORD", Some(value)), "{value}");
    }
    assert!(environment::is_secret("DB_PASSWORD", None));
}

#[test]
fn images_of_stores() {
    for (image, wanted) in [
        ("postgres:16", Some("postgres")),
        ("bitnami/postgresql:15", Some("postgresql")),
        ("docker.elastic.co/elasticsearch/elasticsearch:8.1", Some("elasticsearch")),
        ("mcr.microsoft.com/mssql/server:2022-latest", Some("mssql")),
        ("confluentinc/cp-kafka", Some("kafka")),
        ("redis/redis-stack-server@sha256:0", Some("redis")),
        ("localhost:5000/mongo", Some("mongo")),
        ("mongo-express", None),
        ("oliver006/redis_exporter", None),
        ("provectuslabs/kafka-ui", None),
        ("example/app", None),
    ] {
        assert_eq!(image::store(image).map(|p| p.name), wanted, "{image}");
    }
}

#[test]
fn files_of_one_directory_are_one_project() {
    let files = [
        file("a/compose.yaml", "services:\n  app: { image: x, networks: [one] }\n"),
        file("a/compose.override.yaml", "services:\n  app: { ports: [\"80:80\"] }\n  db: { image: postgres }\n"),
        file("b/compose.yaml", "services:\n  app: { image: y }\n"),
    ];
    let imported = import(&files, None).unwrap();
    let model = model(&imported);
    let names: Vec<&str> = model.nodes.keys().map(|n| n.as_str()).collect();
    assert_eq!(names, ["anybody", "app", "app-node", "db"], "{}", imported.written.text);
    let error = import(&[file("c.yaml", "services: [a]\n")], None).unwrap_err().to_string();
    expect!["c.yaml:1: a compose file has `services:`, a mapping of names to containers; this one has none"]
        .assert_eq(&error);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_environment_breaks_anything(value in "\\PC{0,60}|[a-z:/@,${}-]{0,40}", name in "[A-Z_]{1,20}", port in "\\PC{0,12}|[0-9:/.\\[\\]-]{0,16}") {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let text = format!("services:\n  a: {{ image: redis, ports: [{}], environment: {{ {name}: {} }} }}\n  b: {{ environment: [{}] }}\n", quote(&port), quote(&value), quote(&value));
        match import(&[file("compose.yaml", &text)], None) {
            Ok(imported) => _ = model(&imported),
            Err(error) => panic!("{error}\n{text}"),
        }
    }
}
