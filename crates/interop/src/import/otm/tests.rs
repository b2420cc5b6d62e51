//! Open Threat Models of others as models of ours.
use expect_test::{Expect, expect};
use model::SourceFile;

use crate::import::{Format, import};

fn check(text: &str, expect: Expect) {
    let file = SourceFile { name: "x.otm".to_owned(), text: text.to_owned() };
    let read = match import(&[file], Some(Format::Otm)) {
        Ok(imported) => imported.written.text,
        Err(error) => format!("error: {error}\n"),
    };
    expect.assert_eq(&read);
}

#[test]
fn a_threat_model() {
    check(
        r#"
otmVersion: 0.2.0
project: { name: "Book store", id: books }
representations: [{ name: Diagram, id: d, type: diagram, size: { width: 10, height: 10 } }]
assets:
  - { name: Card Number, id: a1, description: "What customers pay with", risk: { confidentiality: 90, integrity: 100, availability: 50 } }
  - { name: Titles, id: a2, risk: { confidentiality: 0, integrity: 50, availability: 50 }, attributes: { owner: sales } }
trustZones:
  - { name: Internet, id: z1, type: internet, risk: { trustRating: 20 } }
  - { name: Private cloud, id: z2, type: private, risk: { trustRating: 100 } }
  - { name: Payment, id: z3, risk: { trustRating: 60 }, parent: { trustZone: z2 } }
components:
  - { name: Web Client, id: c1, type: web-client, parent: { trustZone: z1 } }
  - { name: Shop, id: c2, type: web-service, parent: { trustZone: z2 }, tags: [tomcat], assets: { processed: [a1, a2], stored: [] } }
  - { name: Cart, id: c3, type: code-class, parent: { component: c2 } }
  - { name: Customer Database, id: c4, type: rds-postgres, parent: { trustZone: z3 }, assets: { processed: null, stored: [a1, null, a9] }, threats: [{ threat: t1, state: exposed }] }
dataflows:
  - { name: Buys, id: 22724267-be7e-44c0-8b1f-d7d33e9a34ec, source: c1, destination: c2, bidirectional: true, assets: [a1, a2] }
  - { name: "Keeps the card", id: keep, source: c2, destination: c4, assets: [a1], tags: null }
  - { name: Gone, id: gone, source: c2, destination: c9 }
  - { name: Self, id: self, source: c2, destination: c2 }
threats: [{ name: T, id: t1, risk: { likelihood: 50, impact: 100 } }]
mitigations: []
"#,
        expect![[r#"
            # Imported from x.otm.
            # What the sources do not say is guessed, and marked `# guessed:` with the reason: look at each.
            # Nothing here runs under Ward yet: give a node `run` or `attest`, and its flows are enforced.
            #
            # Seen, and not taken over:
            #   x.otm:16: asset `a9` (there is no such asset)
            #   x.otm:2: threats: 1, mitigations: 0 (`ward posture` finds its own)
            #   x.otm:20: dataflow `gone` (its source or destination is no component)
            #   x.otm:21: dataflow `self` (it goes from a component to itself)
            #   x.otm:7: `a2`: attributes owner (none of Ward's words, or not with such a value)
            ward: 1
            model: book-store

            zones:
              internet:
                trust: none  # guessed: type: internet
              private-cloud:
                trust: high  # guessed: trustRating: 100
              payment: { in: private-cloud }

            data:
              # What customers pay with
              card-number:
                class: restricted  # guessed: confidentiality: 90
              titles:
                class: public  # guessed: confidentiality: 0

            nodes:
              web-client:
                kind: party  # guessed: type: web-client
                zone: internet
              shop:
                kind: service  # guessed: type: web-service
                zone: private-cloud
                reads: [card-number, titles]
              # inside shop
              cart:
                kind: service  # guessed: type: code-class
                zone: private-cloud
              customer-database:
                kind: store  # guessed: type: rds-postgres
                zone: payment
                holds: [card-number]

            flows:
              # Buys
              - id: web-client-shop
                from: web-client
                to: shop
                carries: [card-number, titles]
                returns: [card-number, titles]  # guessed: bidirectional: it may be that only some of it comes back
              # Keeps the card
              - { id: keep, from: shop, to: customer-database, carries: [card-number] }
        "#]],
    );
}

#[test]
fn words_of_ours() {
    check(
        r#"{"otmVersion": "0.1.0", "project": {"name": "ours", "id": "ours"},
"trustZones": [{"id": "in", "name": "in", "risk": {"trustRating": 50}, "attributes": {"trust": "high", "region": "eu", "requires": "mfa"}}],
"assets": [{"id": "key", "name": "key", "risk": {"confidentiality": 100, "integrity": 1, "availability": 1}, "attributes": {"class": "secret", "opens": "db", "ttl": "3600s", "cost": "3"}},
           {"id": "copy", "name": "copy", "risk": {"confidentiality": 45, "integrity": 1, "availability": 1}, "attributes": {"copy_of": "copy"}}],
"components": [{"id": "app", "name": "app", "type": "x", "parent": {"trustZone": "in"}, "attributes": {"kind": "service", "serves": "8080/http, 9090/grpc", "logs": "true", "auth": "telepathy"}},
               {"id": "db", "name": "db", "type": "x", "parent": {"trustZone": "in"}, "attributes": {"kind": "store", "serves": "5432/postgres", "at_rest": "kms"}},
               {"id": "who", "name": "who", "type": "lambda", "parent": {"trustZone": "out"}, "attributes": {"auth": "none"}}],
"dataflows": [{"id": "f", "name": "f", "source": "app", "destination": "db", "assets": ["key"], "attributes": {"allow": "GET /x", "carries": "key", "mtls": "true"}},
              {"id": "g", "name": "g", "source": "who", "destination": "app", "tags": ["standby"], "attributes": {"allow": "GET,POST /x, PUT /y", "audit": "high", "tls": "9"}}]}"#,
        expect![[r##"
            # Imported from x.otm.
            # What the sources do not say is guessed, and marked `# guessed:` with the reason: look at each.
            # Nothing here runs under Ward yet: give a node `run` or `attest`, and its flows are enforced.
            #
            # Seen, and not taken over:
            #   x.otm: `app`: attributes auth (none of Ward's words, or not with such a value)
            #   x.otm: `f`: attributes allow (none of Ward's words, or not with such a value)
            #   x.otm: `g`: attributes tls (none of Ward's words, or not with such a value)
            #   x.otm: `key`: attributes cost (none of Ward's words, or not with such a value)
            #   x.otm: `who`: attributes auth (none of Ward's words, or not with such a value)
            #   x.otm: `who`: parent: trustZone: out (there is no such zone around it)
            ward: 1
            model: ours

            zones:
              in: { trust: high, region: eu, requires: [mfa] }
              default: {}

            data:
              key: { class: secret, ttl: "3600s", opens: [db] }
              copy:
                class: confidential  # guessed: confidentiality: 45

            nodes:
              app: { kind: service, serves: [{ port: 8080, protocol: http }, { port: 9090, protocol: grpc }], logs: true, zone: in }
              db: { kind: store, serves: [{ port: 5432, protocol: postgres }], at_rest: kms, zone: in }
              who:
                kind: service  # guessed: type: lambda
                zone: default  # guessed: no boundary was drawn around it

            flows:
              - { id: f, from: app, to: db, carries: [key], via: { mtls: true } }
              - { id: g, from: who, to: app, standby: true, via: { allow: ["GET,POST /x", "PUT /y"], audit: high } }
        "##]],
    );
}

#[test]
fn zones_in_a_ring_and_components_in_themselves() {
    check(
        r#"
otmVersion: 0.3.0
project: { name: ring, id: ring }
trustZones:
  - { name: a, id: a, risk: { trustRating: 50 }, parent: { trustZone: b } }
  - { name: b, id: b, risk: { trustRating: 50 }, parent: { trustZone: a } }
  - { name: a, id: a, risk: { trustRating: 50 } }
  - { description: nothing }
components:
  - { name: x, id: x, type: service, parent: { component: y } }
  - { name: y, id: y, type: service, parent: { component: x } }
dataflows: []
"#,
        expect![[r##"
            # Imported from x.otm.
            # What the sources do not say is guessed, and marked `# guessed:` with the reason: look at each.
            # Nothing here runs under Ward yet: give a node `run` or `attest`, and its flows are enforced.
            #
            # Seen, and not taken over:
            #   x.otm:10: `x`: parent (it is nested too deep, or in itself)
            #   x.otm:11: `y`: parent (it is nested too deep, or in itself)
            #   x.otm:2: otmVersion: 0.3.0 (0.1 and 0.2 are known: what is new in this one may be missing)
            #   x.otm:5: `a`: parent: trustZone: b (there is no such zone around it)
            #   x.otm:6: `b`: parent: trustZone: a (there is no such zone around it)
            #   x.otm:7: another entry with the id `a` (identifiers are unique)
            #   x.otm:8: an entry without `id` and `name` (nothing can speak of it)
            ward: 1
            model: ring

            zones:
              a: {}
              b: {}
              default: {}

            nodes:
              # inside y
              x:
                kind: service  # guessed: type: service
                zone: default  # guessed: no boundary was drawn around it
              # inside x
              "y":
                kind: service  # guessed: type: service
                zone: default  # guessed: no boundary was drawn around it
        "##]],
    );
}

#[test]
fn what_is_none() {
    check(
        "project: { name: x, id: x }\n",
        expect![[r#"
        error: x.otm:1: this has no `otmVersion`, and so is no Open Threat Model
    "#]],
    );
    check(
        "otmVersion: 0.2.0\nproject: { name: x, id: x }\ntrustZones: []\ndataflows: []\n",
        expect![[r#"
            error: nothing to make a model of: x.otm has no node and no flow
        "#]],
    );
    check(
        "otmVersion: [\n",
        expect![[r#"
        error: x.otm: line 1: this is not YAML: unclosed bracket '['
    "#]],
    );
}
