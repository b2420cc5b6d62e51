//! Diagrams: what is drawn, what is written, and that nothing of either breaks anything.
use std::{fmt::Write as _, fs, path::Path};

use expect_test::{Expect, expect};
use model::{Model, SourceFile};
use proptest::prelude::*;

use super::super::{Format, Imported, import};

fn of(name: &str, text: &str) -> Imported {
    import(&[SourceFile { name: name.to_owned(), text: text.to_owned() }], None).unwrap()
}

fn model(imported: &Imported) -> Model {
    let files = [SourceFile { name: "ward.yaml".to_owned(), text: imported.written.text.clone() }];
    let loaded = model::load(&files);
    loaded.model.unwrap_or_else(|| panic!("{:?}\n{}", loaded.diagnostics, imported.written.text))
}

/// A model in a few lines: nodes with their zones and kinds, flows with what moves and how.
fn check(text: &str, expect: Expect) {
    let imported = of("a.mmd", text);
    let model = model(&imported);
    let mut out = String::new();
    for (name, zone) in &model.zones {
        let inside = zone.parent.as_ref().map(|p| format!(" in {p}")).unwrap_or_default();
        let _ = writeln!(out, "zone {name}{inside} {:?}", zone.trust);
    }
    for (name, node) in &model.nodes {
        let hostile = if node.hostile { " hostile" } else { "" };
        let _ = writeln!(out, "{:?} {name} in {}{hostile}", node.kind, node.zone);
    }
    for flow in &model.flows {
        let names = |names: &[model::Name]| names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" ");
        let via: Vec<String> = flow
            .via
            .words
            .iter()
            .map(|(word, value)| format!("{word}={}", value.to_string().trim_matches('"')))
            .collect();
        let back = if flow.returns.is_empty() { String::new() } else { format!(" <- {}", names(&flow.returns)) };
        let line = format!("{} > {}: {}{back} {}", flow.from, flow.to, names(&flow.carries), via.join(" "));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for left in &imported.written.left_out {
        let _ = writeln!(out, "left out at {}: {}: {}", left.place, left.what, left.why);
    }
    expect.assert_eq(&out);
}

#[test]
fn shapes_and_words_say_what_a_box_is() {
    check(
        "flowchart TD\n a[Round (one)]\n b(Orders API) & c([Start]) & d[[Sub]] & e[(Things)] & f((Circle)) & g{Choice?} & h{{Hex}} & i>Flag] & j[/In/] & k[\\Out\\] & l(((Stop)))\n \
         m@{ shape: cyl, label: \"New\" } & n@{ shape: rect }\n o[\"User\"] & p[Mobile App] & q[Redis Cache] & r[Redis Exporter] & s[Order Database] & t[User Service] & u[Evil Hacker] & v[fa:fa-user Someone]\n \
         a --> b & c & d & e & f & g & h & i & j & k & l & m & n\n a --> o & p & q & r & s & t & v\n u --> a\n",
        expect![[r#"
            zone default Low
            zone internet None
            Service choice in default
            Service circle in default
            Party evil-hacker in internet hostile
            Service flag in default
            Service hex in default
            Service in in default
            Party mobile-app in internet
            Service n in default
            Store new in default
            Store order-database in default
            Service orders-api in default
            Service out in default
            Store redis-cache in default
            Service redis-exporter in default
            Service round in default
            Party someone in default
            Service start in default
            Service stop in default
            Service sub in default
            Store things in default
            Party user in internet
            Service user-service in default
            round > orders-api: unnamed
            round > start: unnamed
            round > sub: unnamed
            round > things: unnamed
            round > circle: unnamed
            round > choice: unnamed
            round > hex: unnamed
            round > flag: unnamed
            round > in: unnamed
            round > out: unnamed
            round > stop: unnamed
            round > new: unnamed
            round > n: unnamed
            round > user: unnamed tls=1.2
            round > mobile-app: unnamed tls=1.2
            round > redis-cache: unnamed
            round > redis-exporter: unnamed
            round > order-database: unnamed
            round > user-service: unnamed
            round > someone: unnamed
            evil-hacker > round: unnamed tls=1.2
        "#]],
    );
}

#[test]
fn arrows_of_every_kind_and_length() {
    check(
        "graph LR;\n A-->B;\n A---C\n A -- text one --> D\n A -->|text two| E\n A ==> F\n A == text three ==> G\n A -.-> H\n A -. text four .-> I\n A --o J\n A --x K\n \
         A <--> L\n A <-- text five --> M\n A ----> N\n A ~~~ O\n A --|text six|--> P\n A -.->|\"text \\| seven\"| Q\n A --> R --> S\n A e1@--> T\n e1@{ animate: true }\n A o--o U\n A --- |text eight| V\n \
         A-->W-->X\n  --> Y\n %% A --> Comment\n linkStyle 0 stroke:#f00\n style A fill:#f9f\n classDef big font-size:20px;\n class A,B big\n click A \"https://example.com\"\n A:::big --> Z\n api-gw-->b.c\n",
        expect![[r#"
            zone default Low
            Service a in default
            Service api-gw in default
            Service b in default
            Service b-c in default
            Service c in default
            Service d in default
            Service e in default
            Service f in default
            Service g in default
            Service h in default
            Service i in default
            Service j in default
            Service k in default
            Service l in default
            Service m in default
            Service n in default
            Service o in default
            Service p in default
            Service q in default
            Service r in default
            Service s in default
            Service t in default
            Service u in default
            Service v in default
            Service w in default
            Service x in default
            Service y in default
            Service z in default
            a > b: unnamed
            a > c: unnamed
            a > d: text-one
            a > e: text-two
            a > f: unnamed
            a > g: text-three
            a > h: unnamed
            a > i: text-four
            a > j: unnamed
            a > k: unnamed
            a > l: unnamed
            a > m: text-five <- text-five
            a > n: unnamed
            a > p: text-six
            a > q: text-seven
            a > r: unnamed
            r > s: unnamed
            a > t: unnamed
            a > u: unnamed
            a > v: text-eight
            a > w: unnamed
            w > x: unnamed
            x > y: unnamed
            a > z: unnamed
            api-gw > b-c: unnamed
        "#]],
    );
}

#[test]
fn boundaries_nest_and_say_whom_they_trust() {
    check(
        "flowchart LR\n subgraph Internet\n  U[User]\n end\n subgraph vpc [\"VPC <b>10.0.0.0/16</b>\"]\n  direction TB\n  subgraph pub[Public subnet]\n   A[App]\n  end\n  subgraph Data Tier\n   D[(DB)]\n  end\n end\n \
         U -->|HTTPS| A -->|TLS 1.3: rows| D\n pub --> X[Outer]\n vpc --> D\n",
        expect![[r#"
            zone data-tier in vpc-10-0-0-0-16 Low
            zone default Low
            zone internet None
            zone public-subnet in vpc-10-0-0-0-16 Low
            zone vpc-10-0-0-0-16 Low
            Service app in public-subnet
            Store db in data-tier
            Service outer in default
            Party user in internet
            user > app: unnamed tls=1.2
            app > db: rows tls=1.3
            app > outer: unnamed
            left out at a.mmd:1: the arrow from `vpc` to `D`: it ends at a boundary with none or many nodes, or around its other end: draw it from node to node
        "#]],
    );
}

#[test]
fn words_on_arrows_say_how() {
    check(
        "flowchart LR\n a -->|HTTP| b\n a -->|HTTPS: Orders| c\n a -->|mTLS| d\n a -->|HTTP/2| e\n a -->|SSH| f\n a -->|no auth, plaintext| g\n a -->|gets customer profiles over gRPC| h\n \
         a -->|API key| i\n a -->|1. Submit card number| j\n a -->|\"uses #quot;it#quot;<br/>twice\"| k\n a -->|HTTP/HTTPS| l\n",
        expect![[r#"
            zone default Low
            Service a in default
            Service b in default
            Service c in default
            Service d in default
            Service e in default
            Service f in default
            Service g in default
            Service h in default
            Service i in default
            Service j in default
            Service k in default
            Service l in default
            a > b: unnamed tls=none
            a > c: orders tls=1.2
            a > d: unnamed mtls=true
            a > e: unnamed
            a > f: unnamed ssh=true
            a > g: unnamed auth=none tls=none
            a > h:  <- customer-profiles auth=token tls=1.2
            a > i: api-key auth=token tls=1.2
            a > j: card-number auth=token tls=1.2
            a > k: it-twice
            a > l: unnamed tls=1.2
        "#]],
    );
}

#[test]
fn messages_become_flows_and_answers_what_they_return() {
    check(
        "%%{init: {'theme': 'dark'}}%%\nsequenceDiagram\n autonumber\n box Aqua Inside\n participant W as Web App\n participant D@{ \"type\": \"database\" }\n end\n actor U as Alice\n create participant Q as Job Queue\n \
         U->>+W: Log in with password\n Note over W,D: looks it up; then answers\n W->>D: Read profile\n D-->>W: profile\n alt good\n W-->>-U: session token\n else bad\n W--xU: error\n end\n loop daily\n W-)Q: jobs\n Q->>Q: think\n end\n \
         W<<->>D: heartbeats\n destroy Q\n rect rgb(0, 0, 0)\n par one\n W->U: page #59; more\n and two\n D->>W: events\n end\n end\n title: Logging in\n nonsense here\n",
        expect![[r#"
            zone default Low
            zone inside Low
            zone internet None
            Party alice in internet
            Store d in inside
            Store job-queue in default
            Service web-app in inside
            alice > web-app: log-in-with-password <- session-token auth=token tls=1.2
            web-app > d: heartbeats <- profile heartbeats auth=token tls=1.2
            web-app > job-queue: jobs
            web-app > alice: page-more tls=1.2
            d > web-app: events
            left out at a.mmd:11: `then answers`: this cannot be read as a statement of a sequence diagram
            left out at a.mmd:33: `nonsense here`: this cannot be read as a statement of a sequence diagram
        "#]],
    );
}

/// A document in the manner of a design review: several diagrams that speak of the same things, at times by other ids.
#[test]
fn diagrams_of_one_document_are_joined() {
    let text = "# Notes\n\nA photo service.\n\n## Flow\n\n```mermaid\nsequenceDiagram\n    participant User\n    participant LB as Load Balancer\n    participant App as Photo App\n    participant DB as PostgreSQL\n\n    \
                User->>LB: Upload photo\n    LB->>App: Forward Request\n    App->>DB: Insert row\n    DB-->>App: Confirm\n```\n\n```yaml\nservices: {}\n```\n\n## Weaknesses\n\n~~~mermaid\nflowchart LR\n    \
                subgraph Runtime\n        App -->|plaintext| Pg[(PostgreSQL)]\n    end\n    subgraph \"Backups (today)\"\n        Pg -->|Nightly dump| B[S3 PUBLIC]\n        Attacker -->|No Auth| B\n        B -->|Download| Attacker\n    \
                end\n~~~\n\n```mermaid\nclassDiagram\n  A <|-- B\n```\n";
    let imported = of("docs/photos.md", text);
    assert_eq!(imported.sources, [("docs/photos.md".to_owned(), Format::Mermaid)]);
    expect![[r##"
        # Imported from docs/photos.md.
        # What the sources do not say is guessed, and marked `# guessed:` with the reason: look at each.
        # Nothing here runs under Ward yet: give a node `run` or `attest`, and its flows are enforced.
        #
        # Seen, and not taken over:
        #   docs/photos.md:39: a diagram of the kind `classDiagram` (it shows no data flows)
        ward: 1
        model: photos

        zones:
          internet: { trust: none }
          runtime: {}
          # Backups (today)
          backups: {}
          default: {}

        data:
          # Upload photo
          photo:
            class: internal  # guessed: nothing says how sensitive it is
          # what arrows move that do not say what: name it, and findings follow
          unnamed:
            class: public  # guessed: until somebody says what it is, nothing is found about it
          # Insert row
          row:
            class: internal  # guessed: nothing says how sensitive it is
          nightly-dump:
            class: internal  # guessed: nothing says how sensitive it is

        nodes:
          user:
            kind: party  # guessed: it is called `user`
            zone: internet  # guessed: nothing is drawn around it: it may be anywhere
          load-balancer:
            zone: default  # guessed: no boundary was drawn around it
            kind: service  # guessed: nothing says what it is
          # App
          photo-app:
            kind: service  # guessed: it is called `app`
            zone: runtime
          postgresql:
            kind: store  # guessed: it is called `postgresql`
            zone: runtime
          s3-public:
            kind: store  # guessed: it is called `s3`
            exposed_to: [internet]  # guessed: it is called `public`
            zone: backups
          attacker:
            kind: party  # guessed: it is called `attacker`
            hostile: true  # guessed: it is called `attacker`
            zone: backups

        flows:
          - id: user-load-balancer
            from: user
            to: load-balancer
            carries: [photo]  # guessed: the arrow says "Upload photo"
            via:
              tls: "1.2"  # guessed: the diagram does not say how it travels: look
          # the arrow says "Forward Request"
          - id: load-balancer-photo-app
            from: load-balancer
            to: photo-app
            carries: [unnamed]  # guessed: the arrow does not say what moves
          - id: photo-app-postgresql
            from: photo-app
            to: postgresql
            carries: [row]  # guessed: the arrow says "Insert row"
          - id: photo-app-postgresql-2
            from: photo-app
            to: postgresql
            carries: [unnamed]  # guessed: the arrow does not say what moves
            via:
              tls: none  # guessed: the arrow says "plaintext"
          - id: postgresql-s3-public
            from: postgresql
            to: s3-public
            carries: [nightly-dump]  # guessed: the arrow says "Nightly dump"
          - id: attacker-s3-public
            from: attacker
            to: s3-public
            carries: [unnamed]  # guessed: the arrow does not say what moves
            via:
              auth: none  # guessed: the arrow says "no auth"
              tls: "1.2"  # guessed: the diagram does not say how it travels: look
          # the arrow says "Download"
          - id: s3-public-attacker
            from: s3-public
            to: attacker
            carries: [unnamed]  # guessed: the arrow does not say what moves
    "##]]
    .assert_eq(&imported.written.text);
}

#[test]
fn what_ward_draws_comes_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for example in ["shop", "shop-production", "mtls-mesh", "ai-spm", "guardian", "tasky/current", "tasky/secure"] {
        let read = |name: &str| SourceFile {
            name: name.to_owned(),
            text: fs::read_to_string(root.join(example).join(name)).unwrap(),
        };
        let mut files = vec![read("ward.yaml")];
        if example == "shop" {
            files.push(read("policies.yaml"));
        }
        let before = model::load(&files).model.unwrap();
        let imported = of("a.mmd", &model::graph::mermaid(&before));
        let after = model(&imported);
        let zones =
            |m: &Model| m.zones.iter().map(|(n, z)| format!("{n} {:?} {:?}", z.parent, z.trust)).collect::<Vec<_>>();
        let nodes = |m: &Model| {
            m.nodes.iter().map(|(n, d)| format!("{n} {:?} {} {}", d.kind, d.zone, d.hostile)).collect::<Vec<_>>()
        };
        let flows = |m: &Model| {
            let one =
                |f: &model::Flow| format!("{} {} {} {:?} {:?} {}", f.id, f.from, f.to, f.carries, f.returns, f.standby);
            let mut all: Vec<String> = m.flows.iter().map(one).collect();
            all.sort();
            all
        };
        assert_eq!(zones(&before), zones(&after), "{example}");
        assert_eq!(nodes(&before), nodes(&after), "{example}");
        assert_eq!(flows(&before), flows(&after), "{example}");
        assert_eq!(imported.written.left_out, [], "{example}");
        // What data are is guessed by their names: nothing is found that a guess alone would make critical.
        let today = time::Date::from_calendar_date(2026, time::Month::November, 22).unwrap();
        let found = posture::grade(posture::Input { model: &after, text: None, today });
        let critical: Vec<_> =
            found.iter().filter(|f| f.severity == posture::Severity::Critical).map(|f| &f.id).collect();
        assert!(critical.is_empty(), "{example}: {critical:?}");
        seen += after.flows.len();
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn kinds_that_are_not_read_are_told() {
    let text = "flowchart LR\n a --> b\n";
    let files = [
        SourceFile { name: "a.mmd".to_owned(), text: text.to_owned() },
        SourceFile {
            name: "b.mmd".to_owned(),
            text: "---\ntitle: x\n---\n%% hello\nerDiagram\n  A ||--o{ B : has\n".to_owned(),
        },
        SourceFile { name: "c.mmd".to_owned(), text: "C4Context\n  Person(a, \"b\")\n".to_owned() },
    ];
    let imported = import(&files, None).unwrap();
    let told: Vec<String> =
        imported.written.left_out.iter().map(|l| format!("{} {} ({})", l.place, l.what, l.why)).collect();
    expect![[r#"
        b.mmd:5 a diagram of the kind `erDiagram` (it shows tables, and not who speaks to whom)
        c.mmd:1 a diagram of the kind `C4Context` (draw it as a flowchart)"#]]
    .assert_eq(&told.join("\n"));
    let none = import(&[SourceFile { name: "d.md".to_owned(), text: "# Nothing\n".to_owned() }], Some(Format::Mermaid));
    expect!["d.md: this is no Mermaid diagram: the first line of one is `flowchart LR` or `sequenceDiagram`, and in Markdown it stands in a code block of the language `mermaid`"].assert_eq(&none.unwrap_err().to_string());
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    check(
        "flowchart LR\n\n a[\"open --> b\n c --> d\n ??? !!\n e -->\n",
        expect![[r#"
            zone default Low
            Service c in default
            Service d in default
            c > d: unnamed
            left out at a.mmd:3: `a["open --> b`: this cannot be read as a statement of a flowchart
            left out at a.mmd:5: `??? !!`: this cannot be read as a statement of a flowchart
            left out at a.mmd:6: `e -->`: this cannot be read as a statement of a flowchart
        "#]],
    );
}

#[test]
fn two_diagrams_that_contradict_each_other_make_a_model_all_the_same() {
    check(
        "```mermaid\nflowchart LR\nsubgraph A\nsubgraph B\nx --> y\nend\nend\n```\n```mermaid\nflowchart LR\nsubgraph B\nsubgraph A\ny --> x\nend\nend\n```\n",
        expect![[r#"
            zone a Low
            zone b in a Low
            Service x in b
            Service y in b
            x > y: unnamed
            y > x: unnamed
            left out at the draft: a: in: b: it is not in what was read, or leads round in a circle
        "#]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_flowchart_breaks_anything(body in "(([a-e]|subgraph|end|\\[|\\]|\\(|\\)|\\{|\\}|\"|--|==|-\\.|>|x|o|\\||&|;|@|\\{|:::|%%|#|<br/>|user|db| |\n|\\PC){0,3}){0,40}") {
        anything(&format!("flowchart LR\n{body}"));
    }

    #[test]
    fn no_sequence_breaks_anything(body in "(([a-e]|participant|actor|end|alt|box|Note over|:|->>|-->>|-x|-\\)|\\+|-|as|,|;|#|token| |\n|\\PC){0,3}){0,40}") {
        anything(&format!("sequenceDiagram\n{body}"));
    }
}

fn anything(text: &str) {
    let file = SourceFile { name: "a.mmd".to_owned(), text: text.to_owned() };
    match import(&[file], None) {
        Ok(imported) => _ = model(&imported),
        Err(error) => assert!(!error.to_string().contains("mistake of Ward"), "{error}\n{text}"),
    }
}
