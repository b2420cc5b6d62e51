//! The export has the shape that OTM 0.2.0 asks for, and is read back as the same model.
use std::{collections::BTreeSet, fs, path::Path};

use expect_test::expect;
use model::SourceFile;
use serde_json::Value as Json;

use super::*;
use crate::{export::tests::model, import};

const EXAMPLES: [&str; 7] =
    ["shop", "shop-production", "mtls-mesh", "ai-spm", "guardian", "tasky/current", "tasky/secure"];

fn example(name: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).join("ward.yaml");
    model(&fs::read_to_string(path).expect("an example"))
}

fn weaknesses(model: &Model) -> Vec<Weakness> {
    let nodes = model.nodes.keys().map(|name| format!("excess-privilege@{name}"));
    let flows = model.flows.iter().map(|flow| format!("plaintext-flow@{}", flow.id));
    let data = model.data.keys().map(|name| format!("static-secret@{name}"));
    let zones = model.zones.keys().map(|name| format!("admin-mfa@{name}"));
    let all = nodes.chain(flows).chain(data).chain(zones).enumerate().map(|(number, id)| Weakness {
        id,
        risk: 75,
        why: "because".to_owned(),
        mend: "mend it".to_owned(),
        accepted: (number == 0).then(|| "for now (team, until 2027-01-31)".to_owned()),
        controls: vec!["gdpr:32".to_owned()],
    });
    all.collect()
}

#[test]
fn document() {
    let text = r#"
ward: 1
model: small
zones: { internet: { trust: none }, shop: { region: eu }, pci: { in: shop, trust: high } }
data: { order: { class: internal }, card: { class: restricted, of: pan, encrypt: required }, token: { class: secret, opens: [orders], ttl: 1h } }
nodes:
  customer: { kind: party, zone: internet }
  orders: { kind: service, zone: shop, logs: true, serves: [{ port: 8080 }] }
  vault: { kind: store, zone: pci, at_rest: kms, serves: [{ port: 5432, protocol: postgres }], holds: [card] }
flows:
  - { id: buy, from: customer, to: orders, carries: [order, card, token], returns: [order], via: { tls: "1.3", allow: ["POST /orders", "GET,HEAD /orders/{*}"], audit: high } }
  - { id: keep, from: orders, to: vault, carries: [card], via: { mtls: true } }
"#;
    let model = model(text);
    let weakness = Weakness {
        id: "unencrypted-store@vault".to_owned(),
        risk: 75,
        why: "`vault` keeps `card`".to_owned(),
        mend: "encrypt it".to_owned(),
        accepted: None,
        controls: vec!["pci-dss-4.0.1:3.5.1".to_owned()],
    };
    expect![[r#"
        otmVersion: "0.2.0"
        project:
          name: small
          id: small
          attributes:
            trust_domain: small.ward.internal
        representations:
        - name: Data-flow diagram
          id: data-flow-diagram
          type: diagram
          size:
            width: 870
            height: 280
        assets:
        - name: card
          id: card
          risk:
            confidentiality: 75
            integrity: 50
            availability: 50
            comment: confidentiality is the class restricted; of integrity and availability the model says nothing
          attributes:
            class: restricted
            encrypt: required
            of: pan
        - name: order
          id: order
          risk:
            confidentiality: 25
            integrity: 50
            availability: 50
            comment: confidentiality is the class internal; of integrity and availability the model says nothing
          attributes:
            class: internal
        - name: token
          id: token
          risk:
            confidentiality: 100
            integrity: 50
            availability: 50
            comment: confidentiality is the class secret; of integrity and availability the model says nothing
          attributes:
            class: secret
            opens: orders
            ttl: 1h
        trustZones:
        - id: internet
          name: internet
          type: internet
          risk:
            trustRating: 0
          representations:
          - representation: data-flow-diagram
            id: internet-box
            position:
              x: 30
              "y": 80
            size:
              width: 180
              height: 140
          attributes:
            trust: none
        - id: pci
          name: pci
          type: private
          risk:
            trustRating: 100
          parent:
            trustZone: shop
          representations:
          - representation: data-flow-diagram
            id: pci-box
            position:
              x: 610
              "y": 80
            size:
              width: 200
              height: 140
          attributes:
            region: eu
            trust: high
        - id: shop
          name: shop
          type: private
          risk:
            trustRating: 50
          representations:
          - representation: data-flow-diagram
            id: shop-box
            position:
              x: 370
              "y": 30
            size:
              width: 470
              height: 220
          attributes:
            region: eu
            trust: low
        components:
        - id: customer
          name: customer
          type: web-client
          parent:
            trustZone: internet
          representations:
          - representation: data-flow-diagram
            id: customer-box
            position:
              x: 60
              "y": 130
            size:
              width: 120
              height: 60
          assets:
            processed:
            - card
            - order
            - token
            stored: []
          threats: []
          tags:
          - party
          attributes:
            kind: party
        - id: orders
          name: orders
          type: web-service
          parent:
            trustZone: shop
          representations:
          - representation: data-flow-diagram
            id: orders-box
            position:
              x: 400
              "y": 130
            size:
              width: 120
              height: 60
          assets:
            processed:
            - card
            - order
            - token
            stored: []
          threats: []
          tags:
          - service
          attributes:
            kind: service
            logs: "true"
            serves: 8080/http
        - id: vault
          name: vault
          type: database
          parent:
            trustZone: pci
          representations:
          - representation: data-flow-diagram
            id: vault-box
            position:
              x: 640
              "y": 130
            size:
              width: 140
              height: 60
          assets:
            processed:
            - card
            stored:
            - card
          threats:
          - threat: unencrypted-store@vault
            state: exposed
            mitigations:
            - mitigation: mend:unencrypted-store@vault
              state: required
          tags:
          - store
          attributes:
            at_rest: kms
            kind: store
            serves: 5432/postgres
        dataflows:
        - id: buy
          name: "buy: customer to orders"
          bidirectional: true
          source: customer
          destination: orders
          assets:
          - card
          - order
          - token
          threats: []
          tags: []
          attributes:
            allow: POST /orders, GET,HEAD /orders/{*}
            audit: high
            carries: order, card, token
            returns: order
            tls: "1.3"
        - id: keep
          name: "keep: orders to vault"
          bidirectional: false
          source: orders
          destination: vault
          assets:
          - card
          threats: []
          tags: []
          attributes:
            carries: card
            mtls: "true"
        threats:
        - id: unencrypted-store@vault
          name: unencrypted store at vault
          description: "`vault` keeps `card`"
          risk:
            likelihood: 75
            likelihoodComment: the severity of `ward posture`, which weighs both in one
            impact: 75
            impactComment: the severity of `ward posture`, which weighs both in one
          tags:
          - pci-dss-4.0.1:3.5.1
        mitigations:
        - id: mend:unencrypted-store@vault
          name: Mend unencrypted-store@vault
          description: encrypt it
          riskReduction: 100
    "#]]
    .assert_eq(&Otm::new(&model, &[weakness]).yaml().expect("YAML"));
}

/// The parts of OTM's schema that an export could break: what is required, of which type, and that references hold.
#[test]
fn shape() {
    for name in EXAMPLES {
        let model = example(name);
        let otm = serde_json::to_value(Otm::new(&model, &weaknesses(&model))).expect("JSON");
        assert_eq!(otm["otmVersion"], "0.2.0");
        require(&otm["project"], &["name", "id"], &[]);
        let ids = |key: &str| -> BTreeSet<String> {
            let items = otm[key].as_array().expect(key);
            let ids: BTreeSet<String> =
                items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect();
            assert_eq!(ids.len(), items.len(), "{name}: ids of {key} are unique");
            ids
        };
        let (zones, components, assets) = (ids("trustZones"), ids("components"), ids("assets"));
        let (threats, mitigations, representations) = (ids("threats"), ids("mitigations"), ids("representations"));
        let has =
            |all: &BTreeSet<String>, id: &Json| assert!(all.contains(id.as_str().expect("an id")), "{name}: {id}");
        let placed = |item: &Json| {
            for element in item["representations"].as_array().expect("a list") {
                require(element, &["representation", "id"], &[]);
                has(&representations, &element["representation"]);
                require(&element["position"], &[], &["x", "y"]);
                require(&element["size"], &[], &["width", "height"]);
            }
        };
        let threatened = |item: &Json| {
            for threat in item["threats"].as_array().expect("a list") {
                require(threat, &["threat", "state"], &[]);
                has(&threats, &threat["threat"]);
                for mitigation in threat["mitigations"].as_array().expect("a list") {
                    require(mitigation, &["mitigation", "state"], &[]);
                    has(&mitigations, &mitigation["mitigation"]);
                }
            }
        };
        let each = |key: &str| otm[key].as_array().cloned().unwrap_or_default();
        for zone in each("trustZones") {
            require(&zone, &["id", "name", "type"], &[]);
            require(&zone["risk"], &[], &["trustRating"]);
            placed(&zone);
            if let Some(parent) = zone.get("parent") {
                has(&zones, &parent["trustZone"]);
            }
        }
        for component in each("components") {
            require(&component, &["id", "name", "type"], &[]);
            has(&zones, &component["parent"]["trustZone"]);
            for asset in
                ["processed", "stored"].iter().flat_map(|key| component["assets"][key].as_array().expect("a list"))
            {
                has(&assets, asset);
            }
            placed(&component);
            threatened(&component);
        }
        for flow in each("dataflows") {
            require(&flow, &["id", "name", "source", "destination"], &[]);
            has(&components, &flow["source"]);
            has(&components, &flow["destination"]);
            flow["assets"].as_array().expect("a list").iter().for_each(|asset| has(&assets, asset));
            threatened(&flow);
        }
        for asset in each("assets") {
            require(&asset, &["id", "name"], &[]);
            require(&asset["risk"], &["comment"], &["confidentiality", "integrity", "availability"]);
        }
        for threat in each("threats") {
            require(&threat, &["id", "name", "description"], &[]);
            require(&threat["risk"], &["impactComment"], &["likelihood", "impact"]);
        }
        each("mitigations").iter().for_each(|one| require(one, &["id", "name"], &["riskReduction"]));
    }
}

fn require(value: &Json, texts: &[&str], numbers: &[&str]) {
    texts.iter().for_each(|key| assert!(value[key].is_string(), "{key} of {value}"));
    numbers.iter().for_each(|key| assert!(value[key].is_number(), "{key} of {value}"));
}

#[test]
fn only_what_can_be_read_is_drawn() {
    let of = |nodes: usize| {
        let lines = (0..nodes).map(|i| format!("  n{i}: {{ kind: service, zone: z }}\n"));
        let text = format!("ward: 1\nmodel: m\nzones: {{ z: {{}} }}\nnodes:\n{}", lines.collect::<String>());
        let otm = serde_json::to_value(Otm::new(&model(&text), &[])).expect("JSON");
        let elements = otm["components"][0]["representations"].as_array().map(Vec::len);
        (otm["representations"].as_array().map(Vec::len), elements)
    };
    assert_eq!(of(DRAWN_NODES_MAX), (Some(1), Some(1)));
    assert_eq!(of(DRAWN_NODES_MAX + 1), (Some(0), Some(0)));
}

/// What is exported and imported again is the same diagram.
#[test]
fn there_and_back() {
    for name in EXAMPLES {
        let model = example(name);
        let text = Otm::new(&model, &[]).yaml().expect("YAML");
        let file = SourceFile { name: "x.otm".to_owned(), text };
        let imported = import::import(std::slice::from_ref(&file), None).expect("an import");
        let back = self::model(&imported.written.text);
        assert_eq!(back.zones, model.zones, "{name}");
        assert_eq!(back.data.keys().collect::<Vec<_>>(), model.data.keys().collect::<Vec<_>>(), "{name}");
        for (key, datum) in &model.data {
            assert_eq!(&back.data[key], datum, "{name}: {key}");
        }
        assert_eq!(back.nodes.keys().collect::<Vec<_>>(), model.nodes.keys().collect::<Vec<_>>(), "{name}");
        for (key, node) in &model.nodes {
            let (one, other) = (node, &back.nodes[key]);
            assert_eq!(
                (one.kind, &one.zone, one.auth, one.at_rest),
                (other.kind, &other.zone, other.auth, other.at_rest),
                "{name}: {key}"
            );
            assert_eq!(
                (&one.holds, one.hostile, one.admin, one.logs),
                (&other.holds, other.hostile, other.admin, other.logs),
                "{name}: {key}"
            );
            assert_eq!((&one.exposed_to, &one.reads), (&other.exposed_to, &other.reads), "{name}: {key}");
            assert_eq!((one.port, one.rotates), (other.port, other.rotates), "{name}: {key}");
        }
        assert_eq!(back.flows.len(), model.flows.len(), "{name}");
        for (one, other) in model.flows.iter().zip(&back.flows) {
            assert_eq!(
                (&one.id, &one.from, &one.to, one.standby),
                (&other.id, &other.from, &other.to, other.standby),
                "{name}"
            );
            let sorted = |names: &[Name]| names.iter().cloned().collect::<BTreeSet<_>>();
            assert_eq!(sorted(&one.carries), sorted(&other.carries), "{name}: {}", one.id);
            assert_eq!(sorted(&one.returns), sorted(&other.returns), "{name}: {}", one.id);
            assert_eq!(one.via.allow, other.via.allow, "{name}: {}", one.id);
            assert_eq!(one.via.audit, other.via.audit, "{name}: {}", one.id);
            // Nothing runs under Ward there, so that what Ward did must be said.
            let (from, to) = (&model.nodes[&one.from], &model.nodes[&one.to]);
            let wanted = match (from.under_ward() && to.under_ward(), to.role) {
                (_, Some(Role::Gateway)) => Some(("tls", Json::from(model.mesh.tls_min.as_str()))),
                (true, _) => Some(("mtls", Json::from(true))),
                (false, _) => None,
            };
            if let Some((word, value)) = wanted {
                assert_eq!(other.via.words.get(word), Some(&value), "{name}: {}", one.id);
            }
        }
    }
}
