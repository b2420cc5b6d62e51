//! Whole clusters: what comes of them, how it is graded, and which ways lead through it.
use expect_test::{Expect, expect};
use model::SourceFile;
use posture::{
    Input,
    closure::{Closure, Fact, Start},
    grade,
    view::View,
};

use crate::import::{ImportError, Imported, import};

mod accounts;
mod hostile;
mod joined;

const TASKY: &str = include_str!("../../../../../examples/tasky/deployed/kubernetes.yaml");
const KEPT: &str = include_str!("tests/kept.yaml");

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn imported(text: &str) -> Imported {
    import(&[file("app.yaml", text)], None).unwrap_or_else(|e| panic!("{e}"))
}

fn model(text: &str) -> model::Model {
    let loaded = model::load(&[file("ward.yaml", text)]);
    loaded.model.unwrap_or_else(|| panic!("{:#?}\n{text}", loaded.diagnostics))
}

fn findings(text: &str) -> Vec<String> {
    let model = model(text);
    let today = time::Date::from_calendar_date(2026, time::Month::November, 1).unwrap();
    grade(Input { model: &model, text: None, today })
        .into_iter()
        .map(|f| format!("{} {}", f.severity.as_str(), f.id))
        .collect()
}

/// What an attacker comes to who controls a node, by the diagram alone: nodes that he controls and data that he has.
fn from(text: &str, control: &str) -> Vec<String> {
    let model = model(text);
    let view = View::new(&model);
    let given = vec![Fact::Control(view.node_named(control).unwrap())];
    let closure = Closure::new(&view, &Start { given, entries: false });
    let nodes =
        view.nodes.iter().enumerate().filter(|(id, n)| closure.has(Fact::Control(*id)) && n.name.as_str() != control);
    let data = view.data.iter().enumerate().filter(|(id, _)| closure.has(Fact::Hold(*id)));
    nodes.map(|(_, n)| n.name.to_string()).chain(data.map(|(_, d)| d.name.to_string())).collect()
}

/// The model without its head.
fn check(text: &str, expected: Expect) {
    let written = imported(text).written.text;
    let body = written.split_once("\nzones:").map_or(written.as_str(), |(_, body)| body);
    expected.assert_eq(body);
}

#[test]
fn tasky_as_it_stands() {
    let written = imported(TASKY).written.text;
    expect![[r#"
        critical encoded-secret@k8s-secrets
        critical excess-privilege@tasky-account
        high plaintext-flow@app-mongodb
        medium plaintext-flow@alb-ingress-app
        medium static-secret@mongo-creds
        medium unguarded-entry@alb-ingress
        medium unlogged-flow@app-k8s-secrets"#]]
    .assert_eq(&findings(&written).join("\n"));
    let ways = from(&written, "app");
    assert!(ways.contains(&"k8s-api".to_owned()), "{ways:?}");
    check(
        TASKY,
        expect![[r#"

              internet: { trust: none }
              cluster: {}
              # no NetworkPolicy is about who connects to pods here: every pod of the cluster may
              tasky: { in: cluster }
              # around the cluster: what is called by addresses that Secrets hold
              network: {}

            data:
              mongo-creds:
                class: secret
                opens: [mongodb]  # guessed: it goes with app.yaml:39 variable MONGODB_URI
              # ServiceAccount tasky/tasky: administers the cluster (`*` on `*`)
              tasky-account: { class: secret, ttl: "1h", opens: [k8s-api] }
              requests:
                class: internal  # guessed: manifests do not say what moves: write what it is, and its class
              mongodb-data:
                class: internal  # guessed: nothing says what it keeps: write what it is, and its class

            nodes:
              # Deployment tasky/app at app.yaml:24
              app:
                kind: service
                zone: tasky
                serves: [{ port: 8080, protocol: http }]
                exposed_to: [cluster]
                reads: [mongo-creds, mongodb-data]  # guessed: mongodb-data: it calls what keeps it
                holds: [tasky-account]
              k8s-secrets:
                kind: store
                zone: cluster
                auth: rbac
                at_rest: encoding  # guessed: app.yaml:16: Base64 in the manifest, and in etcd too unless an EncryptionConfiguration says otherwise
                exposed_to: [cluster]
                holds: [mongo-creds]
              k8s-api: { kind: service, zone: cluster, privilege: admin, auth: rbac, serves: [{ port: 443, protocol: tls }], exposed_to: [cluster] }
              # from app.yaml:49
              alb-ingress: { kind: service, zone: cluster, serves: [{ port: 443, protocol: tls }] }
              anybody: { kind: party, zone: internet }
              # called by app.yaml:39 variable MONGODB_URI, with an address from a Secret
              mongodb:
                kind: store
                zone: network  # guessed: its address is in a Secret; where it is nobody says
                auth: password  # guessed: the address comes with a credential
                holds: [mongodb-data]

            flows:
              # mongo-creds: variable MONGODB_URI
              # mongo-creds: variable SECRET_KEY
              - { id: app-k8s-secrets, from: app, to: k8s-secrets, returns: [mongo-creds], via: { tls: "1.2" } }
              # TLS for every host
              - id: anybody-alb-ingress
                from: anybody
                to: alb-ingress
                carries: [requests]
                returns: [requests]
                via:
                  tls: "1.2"  # guessed: TLS is terminated there, with at least 1.2 today
              # from app.yaml:63
              - { id: alb-ingress-app, from: alb-ingress, to: app, carries: [requests], returns: [requests], via: { tls: none } }
              # from app.yaml:39 variable MONGODB_URI
              - id: app-mongodb
                from: app
                to: mongodb
                carries: [mongodb-data, mongo-creds]  # guessed: it is given to the caller, and it is for what is called
                returns: [mongodb-data]
        "#]],
    );
}

#[test]
fn a_cluster_that_is_well_kept_has_nothing_that_is_high() {
    let imported = imported(KEPT);
    let written = imported.written.text;
    let all = findings(&written);
    let grave: Vec<&String> = all.iter().filter(|f| f.starts_with("high") || f.starts_with("critical")).collect();
    assert!(grave.is_empty(), "{grave:#?}\n{written}");
    expect![[r#"
        medium static-secret@db-login
        medium unlogged-flow@api-k8s-secrets"#]]
    .assert_eq(&all.join("\n"));
    check(
        KEPT,
        expect![[r#"

              internet: { trust: none }
              cluster: {}
              orders: { in: cluster }

            data:
              db-data:
                class: internal  # guessed: nothing says what it keeps: write what it is, and its class
              # Secret orders/db-login, which is not in what was read
              db-login:
                class: secret
                opens: [db]  # guessed: it is started with it, as POSTGRES_PASSWORD
              requests:
                class: internal  # guessed: manifests do not say what moves: write what it is, and its class
              # Secret orders/orders-tls, which is not in what was read
              orders-tls: { class: secret, ttl: "90d" }

            nodes:
              # Deployment orders/api at app.yaml:71
              # NetworkPolicy orders/api lets whole namespaces connect to it
              api:
                kind: service
                zone: orders
                serves: [{ port: 8443, protocol: tls }]
                reads: [db-login, db-data]  # guessed: db-data: it calls what keeps it
              # StatefulSet orders/db at app.yaml:95
              db:
                kind: store  # guessed: its image is postgres
                zone: orders
                serves: [{ port: 5432, protocol: postgres }]
                at_rest: volume
                holds: [db-data]
                reads: [db-login]
                auth: password
              k8s-secrets: { kind: store, zone: cluster, auth: rbac, at_rest: kms, exposed_to: [cluster], holds: [db-login, orders-tls] }
              # from app.yaml:117
              nginx-ingress: { kind: service, zone: cluster, serves: [{ port: 443, protocol: tls }], guards: [rate, waf] }
              anybody: { kind: party, zone: internet }

            flows:
              # db-login: variable DB_PASSWORD
              - { id: api-k8s-secrets, from: api, to: k8s-secrets, returns: [db-login], via: { tls: "1.2" } }
              # db-login: variable POSTGRES_PASSWORD
              - { id: db-k8s-secrets, from: db, to: k8s-secrets, returns: [db-login], via: { tls: "1.2" } }
              # TLS for orders.example.com
              # whether it has a public address is not in what was read: if it has none, take this flow away
              - id: anybody-nginx-ingress
                from: anybody
                to: nginx-ingress
                carries: [requests]
                returns: [requests]
                via:
                  tls: "1.2"  # guessed: TLS is terminated there, with at least 1.2 today
              # orders-tls: a certificate and its key
              - { id: nginx-ingress-k8s-secrets, from: nginx-ingress, to: k8s-secrets, returns: [orders-tls], via: { tls: "1.2" } }
              # from app.yaml:132
              - id: nginx-ingress-api
                from: nginx-ingress
                to: api
                carries: [requests]
                returns: [requests]
                via:
                  tls: "1.2"  # guessed: the backend is told to speak TLS, and at least 1.2 today
              # from app.yaml:87 variable DB_HOST
              # NetworkPolicy orders/db lets it
              - id: api-db
                from: api
                to: db
                carries: [db-data, db-login]  # guessed: it is given to the caller, and it is for what is called
                returns: [db-data]
                via: { mtls: true }
        "#]],
    );
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: { name: app, namespace: shop, labels: { app: app } }\n";

#[test]
fn a_pod_that_controls_its_machine() {
    let text = format!(
        "{POD}spec: {{ automountServiceAccountToken: false, containers: [{{ name: c, image: app, securityContext: {{ privileged: true }} }}] }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: vault, namespace: bank }}
spec: {{ containers: [{{ name: c, image: 'hashicorp/vault:1' }}] }}
"
    );
    let written = imported(&text).written.text;
    let ways = from(&written, "app");
    assert!(
        ways.contains(&"k8s-machines".to_owned()) && ways.contains(&"vault-data".to_owned()),
        "{ways:?}\n{written}"
    );
    assert!(
        findings(&written).iter().any(|f| f.ends_with("excess-privilege@app-host-access")),
        "{:?}",
        findings(&written)
    );
    let calm = text.replace("privileged: true", "privileged: false");
    assert_eq!(from(&imported(&calm).written.text, "app"), Vec::<String>::new());
}

#[test]
fn how_secrets_are_kept() {
    let pod = format!(
        "{POD}spec: {{ containers: [{{ name: c, image: app, envFrom: [{{ secretRef: {{ name: s }} }}] }}] }}\n"
    );
    let secret = "---\n{ apiVersion: v1, kind: Secret, metadata: { name: s, namespace: shop }, stringData: { KEY: very-long-value } }\n";
    let config = |provider: &str| {
        format!(
            "---\n{{ apiVersion: apiserver.config.k8s.io/v1, kind: EncryptionConfiguration, resources: [{{ resources: [secrets], providers: [{{ {provider}: {{ keys: [{{ name: a, secret: Zm9vYmFyYmF6 }}] }} }}, {{ identity: {{}} }}] }}] }}\n"
        )
    };
    for (more, expected) in [
        (String::new(), "at_rest: volume  # guessed"),
        (secret.to_owned(), "at_rest: encoding  # guessed"),
        (format!("{secret}{}", config("kms")), "at_rest: kms,"),
        (format!("{secret}{}", config("aescbc")), "at_rest: volume,"),
        (format!("{secret}{}", config("identity")), "at_rest: encoding,"),
    ] {
        let text = imported(&format!("{pod}{more}")).written.text;
        assert!(text.contains(expected), "{expected}\n{text}");
        assert!(!text.contains("Zm9vYmFyYmF6") && !text.contains("very-long-value"), "{text}");
    }
}

#[test]
fn calls_by_variables_settings_and_arguments() {
    let text = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  template:
    metadata: { labels: { app: web } }
    spec:
      automountServiceAccountToken: false
      volumes: [{ name: v, configMap: { name: files } }]
      containers:
        - name: web
          image: shop/web
          args: ['--search=http://search.tools:9200', --name, orders]
          envFrom: [{ configMapRef: { name: settings } }]
          env:
            - { name: DB_HOST, value: db }
            - { name: DB_URL, value: 'postgres://app@$(DB_HOST):5432/shop?sslmode=require' }
            - { name: DB_PASSWORD, valueFrom: { secretKeyRef: { name: db-login, key: password } } }
            - { name: MODE, value: orders }
            - { name: PUBLIC_URL, value: 'https://shop.example.com' }
            - { name: PAY_URL, value: 'https://api.stripe.com' }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: settings, namespace: shop }, data: { ORDERS_ADDR: 'orders:80' } }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: files, namespace: shop }, data: { nginx.conf: 'proxy_pass http://cart.shop.svc; # see http://nginx.org and orders' } }
---
apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Pod, metadata: { name: orders, namespace: shop, labels: { app: orders } }, spec: { containers: [{ image: orders, ports: [{ name: web, containerPort: 8080 }] }] } }
  - { apiVersion: v1, kind: Service, metadata: { name: orders, namespace: shop }, spec: { selector: { app: orders }, ports: [{ port: 80, targetPort: web }] } }
  - { apiVersion: v1, kind: Pod, metadata: { name: cart, namespace: shop, labels: { app: cart } }, spec: { containers: [{ image: cart }] } }
  - { apiVersion: v1, kind: Service, metadata: { name: cart, namespace: shop }, spec: { selector: { app: cart }, ports: [{ port: 80, targetPort: 9090 }] } }
  - { apiVersion: v1, kind: Pod, metadata: { name: search, namespace: tools, labels: { app: search } }, spec: { containers: [{ image: 'elasticsearch:8' }] } }
  - { apiVersion: v1, kind: Service, metadata: { name: search, namespace: tools }, spec: { selector: { app: search }, ports: [{ port: 9200 }] } }
  - apiVersion: apps/v1
    kind: StatefulSet
    metadata: { name: postgres, namespace: shop }
    spec: { serviceName: db, template: { metadata: { labels: { app: db } }, spec: { automountServiceAccountToken: false, containers: [{ image: 'postgres:16', env: [{ name: POSTGRES_PASSWORD, valueFrom: { secretKeyRef: { name: db-login, key: password } } }] }] } } }
  - { apiVersion: v1, kind: Service, metadata: { name: db, namespace: shop }, spec: { clusterIP: None, selector: { app: db }, ports: [{ port: 5432 }] } }
";
    check(
        text,
        expect![[r#"

              internet: { trust: none }
              cluster: {}
              # no NetworkPolicy is about who connects to pods here: every pod of the cluster may
              shop: { in: cluster }
              # no NetworkPolicy is about who connects to pods here: every pod of the cluster may
              tools: { in: cluster }

            data:
              search-data:
                class: internal  # guessed: nothing says what it keeps: write what it is, and its class
              postgres-data:
                class: internal  # guessed: nothing says what it keeps: write what it is, and its class
              # Secret shop/db-login, which is not in what was read
              db-login:
                class: secret
                opens: [postgres]  # guessed: it is started with it, as POSTGRES_PASSWORD
              requests:
                class: internal  # guessed: manifests do not say what moves: write what it is, and its class
              # what is sent to others: say what that is, and how sensitive
              outbound:
                class: internal  # guessed: nothing says how sensitive it is

            nodes:
              # Deployment shop/web at app.yaml:2
              web:
                kind: service
                zone: shop
                reads: [db-login, search-data, postgres-data]  # guessed: search-data: it calls what keeps it
              # Pod shop/orders at app.yaml:31
              orders: { kind: service, zone: shop, serves: [{ port: 8080, protocol: http }], exposed_to: [cluster] }
              # Pod shop/cart at app.yaml:33
              cart: { kind: service, zone: shop, serves: [{ port: 9090, protocol: http }], exposed_to: [cluster] }
              # Pod tools/search at app.yaml:35
              search:
                kind: store  # guessed: its image is elasticsearch
                zone: tools
                serves: [{ port: 9200, protocol: tcp }]
                exposed_to: [cluster]
                holds: [search-data]
              # StatefulSet shop/postgres at app.yaml:37
              postgres:
                kind: store  # guessed: its image is postgres
                zone: shop
                serves: [{ port: 5432, protocol: postgres }]
                exposed_to: [cluster]
                holds: [postgres-data]
                reads: [db-login]
                auth: password
              k8s-secrets:
                kind: store
                zone: cluster
                auth: rbac
                at_rest: volume  # guessed: the Secrets are not in what was read; if etcd has no EncryptionConfiguration, write `encoding`
                exposed_to: [cluster]
                holds: [db-login]
              # called by app.yaml:22 variable PAY_URL; what runs there is not in what was read
              api-stripe-com: { kind: service, zone: internet }

            flows:
              # db-login: variable DB_PASSWORD
              - { id: web-k8s-secrets, from: web, to: k8s-secrets, returns: [db-login], via: { tls: "1.2" } }
              # db-login: variable POSTGRES_PASSWORD
              - { id: postgres-k8s-secrets, from: postgres, to: k8s-secrets, returns: [db-login], via: { tls: "1.2" } }
              # from app.yaml:15 variable ORDERS_ADDR
              - id: web-orders
                from: web
                to: orders
                carries: [requests]
                returns: [requests]
                via:
                  tls: "1.2"  # guessed: nothing says how it travels: look; without a mesh pods send what programs send
              # from app.yaml:26 ConfigMap files, nginx.conf
              - { id: web-cart, from: web, to: cart, carries: [requests], returns: [requests], via: { tls: none } }
              # from app.yaml:14 arguments
              - { id: web-search, from: web, to: search, carries: [search-data], returns: [search-data], via: { tls: none } }
              # from app.yaml:17 variable DB_HOST
              - id: web-postgres
                from: web
                to: postgres
                carries: [postgres-data, db-login]  # guessed: it is given to the caller, and it is for what is called
                returns: [postgres-data]
                via:
                  tls: "1.2"  # guessed: it is told to speak TLS, and at least 1.2 today
              # from app.yaml:22 variable PAY_URL
              - id: web-api-stripe-com
                from: web
                to: api-stripe-com
                carries: [outbound]  # guessed: what is sent there is not in what was read
                via:
                  tls: "1.2"  # guessed: `https`, and at least 1.2 today
        "#]],
    );
}

#[test]
fn ways_in() {
    let text = format!(
        "{POD}spec: {{ automountServiceAccountToken: false, containers: [{{ image: app, ports: [{{ containerPort: 8080 }}] }}] }}
---
{{ apiVersion: v1, kind: Service, metadata: {{ name: app, namespace: shop }}, spec: {{ selector: {{ app: app }}, ports: [{{ port: 80, targetPort: 8080 }}] }} }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{ name: a, namespace: shop, annotations: {{ nginx.ingress.kubernetes.io/enable-modsecurity: 'true' }} }}
spec:
  ingressClassName: nginx
  tls: [{{ hosts: ['*.example.com'], secretName: cert }}]
  rules:
    - {{ host: a.example.com, http: {{ paths: [{{ path: /, backend: {{ service: {{ name: app, port: {{ number: 80 }} }} }} }}] }} }}
    - {{ host: b.example.org, http: {{ paths: [{{ path: /, backend: {{ service: {{ name: gone, port: {{ number: 80 }} }} }} }}] }} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge, namespace: shop }}
spec: {{ gatewayClassName: c, listeners: [{{ protocol: HTTPS, port: 443, hostname: x.example }}, {{ protocol: HTTP, port: 80 }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: r, namespace: shop }}
spec: {{ parentRefs: [{{ name: edge }}], rules: [{{ backendRefs: [{{ name: app, port: 80 }}] }}] }}
"
    );
    check(
        &text,
        expect![[r#"

              internet: { trust: none }
              cluster: {}
              # no NetworkPolicy is about who connects to pods here: every pod of the cluster may
              shop: { in: cluster }

            data:
              requests:
                class: internal  # guessed: manifests do not say what moves: write what it is, and its class
              # Secret shop/cert, which is not in what was read
              cert: { class: secret }

            nodes:
              # Pod shop/app at app.yaml:1
              app: { kind: service, zone: shop, serves: [{ port: 8080, protocol: http }], exposed_to: [cluster] }
              # from app.yaml:18
              edge-gateway: { kind: service, zone: cluster, serves: [{ port: 443, protocol: tls }] }
              anybody: { kind: party, zone: internet }
              # from app.yaml:8
              nginx-ingress: { kind: service, zone: cluster, serves: [{ port: 443, protocol: tls }, { port: 80, protocol: http }], guards: [waf] }
              k8s-secrets:
                kind: store
                zone: cluster
                auth: rbac
                at_rest: volume  # guessed: the Secrets are not in what was read; if etcd has no EncryptionConfiguration, write `encoding`
                exposed_to: [cluster]
                holds: [cert]

            flows:
              # TLS for x.example
              # whether it has a public address is not in what was read: if it has none, take this flow away
              - id: anybody-edge-gateway
                from: anybody
                to: edge-gateway
                carries: [requests]
                returns: [requests]
                via:
                  tls: "1.2"  # guessed: TLS is terminated there, with at least 1.2 today
              # from app.yaml:26
              - { id: edge-gateway-app, from: edge-gateway, to: app, carries: [requests], returns: [requests], via: { tls: none } }
              # TLS for a.example.com
              # whether it has a public address is not in what was read: if it has none, take this flow away
              - id: anybody-nginx-ingress
                from: anybody
                to: nginx-ingress
                carries: [requests]
                returns: [requests]
                via:
                  tls: "1.2"  # guessed: TLS is terminated there, with at least 1.2 today
              # no TLS for b.example.org
              # whether it has a public address is not in what was read: if it has none, take this flow away
              - { id: anybody-nginx-ingress-plain, from: anybody, to: nginx-ingress, carries: [requests], returns: [requests], via: { tls: none } }
              # cert: a certificate and its key
              - { id: nginx-ingress-k8s-secrets, from: nginx-ingress, to: k8s-secrets, returns: [cert], via: { tls: "1.2" } }
              # from app.yaml:15
              - { id: nginx-ingress-app, from: nginx-ingress, to: app, carries: [requests], returns: [requests], via: { tls: none } }
        "#]],
    );
    let told = imported(&text).written.left_out;
    assert!(told.iter().any(|l| l.what == "a backend shop/gone"), "{told:?}");
}

#[test]
fn services_that_the_world_may_call() {
    let with = |spec: &str, more: &str| {
        let text = format!(
            "{POD}spec: {{ automountServiceAccountToken: false, containers: [{{ image: 'redis:7' }}] }}
---
{{ apiVersion: v1, kind: Service, metadata: {{ name: app, namespace: shop{more} }}, spec: {{ selector: {{ app: app }}, ports: [{{ port: 6379 }}], {spec} }} }}
"
        );
        imported(&text).written.text
    };
    let open = "exposed_to: [cluster, internet]";
    assert!(with("type: LoadBalancer", "").contains(open));
    assert!(with("type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/0]", "").contains(open));
    assert!(!with("type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]", "").contains(open));
    assert!(
        !with("type: LoadBalancer", ", annotations: { networking.gke.io/load-balancer-type: Internal }").contains(open)
    );
    assert!(!with("type: NodePort", "").contains(open));
    assert!(!with("type: ClusterIP", "").contains(open));
    assert!(findings(&with("type: LoadBalancer", "")).iter().any(|f| f.ends_with(" public-store@app")));
}

#[test]
fn a_mesh_encrypts_between_its_pods() {
    let with = |more: &str| {
        let text = format!(
            "{{ apiVersion: v1, kind: Namespace, metadata: {{ name: shop, labels: {{ istio-injection: enabled }} }} }}
---
{POD}spec: {{ containers: [{{ image: app, env: [{{ name: DB_HOST, value: 'db:5432' }}] }}] }}
---
{{ apiVersion: v1, kind: Pod, metadata: {{ name: db, namespace: shop, labels: {{ app: db }} }}, spec: {{ containers: [{{ image: postgres }}] }} }}
---
{{ apiVersion: v1, kind: Service, metadata: {{ name: db, namespace: shop }}, spec: {{ selector: {{ app: db }}, ports: [{{ port: 5432 }}] }} }}
{more}"
        );
        let imported = imported(&text).written;
        let flow: Vec<&str> = imported.text.lines().skip_while(|l| !l.contains("id: app-db")).collect();
        (flow.join("\n"), imported.left_out)
    };
    let strict = |ns: &str, mode: &str| {
        format!(
            "---\n{{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {{ name: default, namespace: {ns} }}, spec: {{ mtls: {{ mode: {mode} }} }} }}\n"
        )
    };
    assert!(with("").0.contains("both are in the mesh"));
    let (via, told) = with(&strict("istio-system", "STRICT"));
    assert!(via.contains("via: { mtls: true }"), "{via}");
    assert!(
        told.iter().any(|l| l.what.starts_with("PeerAuthentication") && l.why.contains("beside ward.yaml")),
        "{told:?}"
    );
    let not_here = with(&format!("{}{}", strict("istio-system", "STRICT"), strict("shop", "DISABLE"))).0;
    assert!(not_here.contains("nothing says how it travels"), "{not_here}");
}

#[test]
fn identities_of_a_cloud() {
    let text = format!(
        "{POD}spec: {{ serviceAccountName: bot, containers: [{{ image: app }}] }}
---
{{ apiVersion: v1, kind: ServiceAccount, metadata: {{ name: bot, namespace: shop, annotations: {{ eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/path/uploader' }} }} }}
"
    );
    let written = imported(&text).written.text;
    assert!(
        written.contains("uploader-role: { class: secret, ttl: \"1h\" }") && written.contains("holds: [uploader-role]"),
        "{written}"
    );
}

#[test]
fn what_is_no_manifest_yet_says_what_to_do() {
    let chart = "apiVersion: v1\nkind: Pod\nmetadata: { name: {{ .Values.name }} }\n";
    for text in [
        chart.to_owned(),
        format!("{{{{- if .Values.on }}}}\n{chart}{{{{- end }}}}\n"),
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"{{ .Values.name }}\"\n".to_owned(),
    ] {
        let error = import(&[file("t.yaml", &text)], None).unwrap_err();
        assert!(matches!(&error, ImportError::Refused { why, .. } if why.contains("helm template")), "{error}\n{text}");
    }
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [app.yaml]\n";
    let error = import(&[file("k.yaml", kustomization)], None).unwrap_err();
    assert!(error.to_string().contains("kubectl kustomize"), "{error}");
    let pod = format!("{POD}spec: {{ containers: [{{ image: app }}] }}\n");
    let both = import(&[file("k.yaml", kustomization), file("p.yaml", &pod)], None).unwrap();
    assert_eq!(both.written.left_out.len(), 1, "{:?}", both.written.left_out);
    let unknown = format!(
        "{pod}---\n{{ apiVersion: example.com/v1, kind: Widget, metadata: {{ name: a }} }}\n---\n{{ apiVersion: example.com/v1, kind: Widget, metadata: {{ name: b }} }}\n"
    );
    let told = imported(&unknown).written.left_out;
    assert_eq!(told.iter().map(|l| l.what.as_str()).collect::<Vec<_>>(), ["2 Widget of example.com"]);
}

#[test]
fn what_somebody_else_made_is_not_counted_twice() {
    let text = "
apiVersion: v1
kind: List
items:
  - { apiVersion: apps/v1, kind: Deployment, metadata: { name: app, namespace: n }, spec: { template: { metadata: { labels: { app: a } }, spec: { containers: [{ image: app }] } } } }
  - { apiVersion: apps/v1, kind: ReplicaSet, metadata: { name: app-1, namespace: n, ownerReferences: [{ kind: Deployment, name: app }] }, spec: { template: { metadata: { labels: { app: a } }, spec: { containers: [{ image: app }] } } } }
  - { apiVersion: v1, kind: Pod, metadata: { name: app-1-x, namespace: n, labels: { app: a }, ownerReferences: [{ kind: ReplicaSet, name: app-1 }] }, spec: { containers: [{ image: app }] } }
  - { apiVersion: v1, kind: Pod, metadata: { name: lone, namespace: n, ownerReferences: [{ kind: ReplicaSet, name: gone }] }, spec: { containers: [{ image: app }] } }
";
    let json = serde_json::to_string(&serde_json::json!({ "apiVersion": "v1", "kind": "PodList", "items": [{ "metadata": { "name": "p" }, "spec": { "containers": [] } }] })).unwrap();
    let all = import(&[file("a.yaml", text), file("b.json", &json)], None).unwrap();
    let model = model(&all.written.text);
    assert_eq!(model.nodes.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["app", "lone", "p"]);
}
