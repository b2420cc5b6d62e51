//! What `ward policy test` prints, and what it must not pass over.
use expect_test::expect;
use model::SourceFile;

use super::*;

#[test]
fn a_table_with_lines_and_reasons() {
    let text = r#"
ward: 1
model: shop
zones: { shop: {} }
data: { order: { class: internal } }
nodes:
  web: { kind: service, zone: shop, run: { command: [./web] } }
  orders: { kind: service, zone: shop, run: { command: [./orders] } }
  bank: { kind: service, zone: shop, endpoints: ["bank.example:443"] }
flows:
  - { id: place, from: web, to: orders, carries: [order], via: { allow: ["POST /orders"] } }
  - { id: settle, from: orders, to: bank, carries: [order] }
tests:
  - { from: web, to: orders, request: "POST /orders", expect: allow }
  - { from: web, to: orders, request: "DELETE /orders", expect: allow }
  - { from: orders, to: orders, request: "POST /orders", port: 8080, expect: deny }
  - { from: orders, to: bank, request: "GET /", expect: deny }
"#;
    let file = SourceFile { name: "ward.yaml".to_owned(), text: text.to_owned() };
    let loaded = model::load(&[file]);
    let model = loaded.model.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
    let trials = run_tests(&model);
    let reports: Vec<_> = trials.iter().map(report).collect();
    expect![[r#"
          LINE  FROM    TO      REQUEST                   EXPECT  GOT
            14  web     orders  POST /orders              allow   allow  ok
            15  web     orders  DELETE /orders            allow   deny   FAILED
            16  orders  orders  POST /orders (port 8080)  deny    deny   ok
            17  orders  bank    GET /                     deny    none   FAILED

        line 15: no rule allows DELETE /orders from web; nearest is flow `place` (policy shop/flow-place, rule 0): principal shop.ward.internal/ns/shop/sa/web ok, port 8080 ok, method wanted POST got DELETE, path /orders ok

        line 17: `bank` is not under Ward (it has no `run`, `attest` or `role`), so nothing is decided there

        2 as expected, 2 not
    "#]].assert_eq(&table(&reports, 2));
    assert_eq!(table(&[], 0), "the model has no tests: add some under `tests:`\n");
}

#[test]
fn every_example_answers_its_own_questions() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut asked = 0;
    for dir in std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()) {
        if !dir.join("ward.yaml").is_file() {
            continue;
        }
        let model = load(&dir).unwrap();
        let trials = run_tests(&model);
        let reports: Vec<_> = trials.iter().map(report).collect();
        let failed = reports.iter().filter(|report| !report.passed).count();
        assert_eq!(failed, 0, "{}\n{}", dir.display(), table(&reports, failed));
        asked += reports.len();
    }
    assert!(asked > 60, "{asked}");
}
