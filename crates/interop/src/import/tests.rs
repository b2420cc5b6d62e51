//! The import as a whole: what a file is, what is wrong with one, several at once, and how much.
use expect_test::expect;
use model::SourceFile;
use proptest::prelude::*;

use super::*;

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

#[test]
fn a_file_is_what_it_looks_like() {
    for (name, text, wanted) in [
        ("a", "flowchart LR\n a-->b\n", Some(Format::Mermaid)),
        ("a", "graph TD;a-->b", Some(Format::Mermaid)),
        ("a", "---\ntitle: T\n---\nsequenceDiagram\n a->>b: c\n", Some(Format::Mermaid)),
        ("a.md", "# T\n\n   ```mermaid\n   pie\n   ```\n", Some(Format::Mermaid)),
        ("a.md", "# T\n\n::: mermaid\ngraph LR\na-->b\n:::\n", Some(Format::Mermaid)),
        ("a.md", "# T\n\n```{mermaid}\ngraph LR\na-->b\n```\n", Some(Format::Mermaid)),
        ("a.md", "# T\n\n````\n```mermaid\ngraph LR\n```\n````\n", None),
        ("a.md", "services:\n  are: good\n", None),
        ("a", "services:\n  web: { image: nginx }\n", Some(Format::Compose)),
        ("a", "# two\n---\napiVersion: v1\nkind: Service\n", Some(Format::Kubernetes)),
        ("a", "{\"apiVersion\": \"v1\", \"kind\": \"List\"}", Some(Format::Kubernetes)),
        ("a", "{\"format_version\": \"1.2\", \"terraform_version\": \"1.9\"}", Some(Format::Terraform)),
        ("a", "threagile_version: 1.0.0\n", Some(Format::Threagile)),
        ("a", "otmVersion: 0.2.0\n", Some(Format::Otm)),
        ("a", "\u{feff}services: {}\n", Some(Format::Compose)),
        ("a", "name: x\n", None),
        ("a", "", None),
        ("a", "graph theory is about graphs\n", None),
        ("a", "block: of yaml\n", None),
        ("a", "pie in the sky", None),
        ("a.yaml", "text: |\n  ```mermaid\n  graph LR\n  ```\nservices: {}\n", Some(Format::Compose)),
    ] {
        assert_eq!(recognize(&file(name, text)).unwrap(), wanted, "{text}");
    }
}

#[test]
fn what_is_broken_says_where() {
    let errors: Vec<String> = [
        ("a.yaml", "services:\n  web:\n    image: [nginx\n  b: 1\n", None),
        ("b.json", "{\n  \"apiVersion\": \"v1\",\n  \"kind\": }\n", None),
        ("c.txt", "hello\n", None),
        ("d.yaml", "services: {}\n", None),
        ("e.yaml", "a: 1\n", Some(Format::Compose)),
        ("f.mmd", "nothing\n", Some(Format::Mermaid)),
        ("g.mmd", "erDiagram\n", None),
    ]
    .into_iter()
    .map(|(name, text, format)| import(&[file(name, text)], format).unwrap_err().to_string())
    .collect();
    expect![[r#"
        a.yaml: line 4: this is not YAML: illegal placement of ':' indicator
        b.json: line 3: this is not JSON: expected value at line 3 column 11
        c.txt: this is no Mermaid diagram, docker-compose file, Kubernetes manifest, Terraform plan (`terraform show -json`), Threagile model or Open Threat Model; name what it is with --format
        nothing to make a model of: d.yaml has no node and no flow
        e.yaml:1: a compose file has `services:`, a mapping of names to containers; this one has none
        f.mmd: this is no Mermaid diagram: the first line of one is `flowchart LR` or `sequenceDiagram`, and in Markdown it stands in a code block of the language `mermaid`
        nothing to make a model of: g.mmd has no node and no flow; left out: g.mmd:1: a diagram of the kind `erDiagram` (it shows tables, and not who speaks to whom)"#]].assert_eq(&errors.join("\n"));
}

#[test]
fn several_formats_are_one_model() {
    let files = [
        file(
            "compose.yaml",
            "services:\n  api:\n    image: example/api\n    environment:\n      DB: postgres://u:p@db.prod.svc.cluster.local:5432/x\n",
        ),
        file("README.md", "```mermaid\nflowchart LR\n  user([User]) -->|HTTPS: orders| api\n```\n"),
    ];
    let imported = import(&files, None).unwrap();
    assert_eq!(imported.sources.iter().map(|(_, f)| *f).collect::<Vec<_>>(), [Format::Compose, Format::Mermaid]);
    // Nobody said that the two are one: what joins files is an address, and a drawing has none.
    assert_eq!(imported.written.nouns[2], 3, "{}", imported.written.text);
}

#[test]
fn addresses_join_formats() {
    let compose =
        "services:\n  api:\n    image: example/api\n    environment:\n      DB: postgres://u:p@db.prod.svc:5432/x\n";
    let manifest = "apiVersion: v1\nkind: Service\nmetadata: { name: db, namespace: prod }\nspec: { selector: { app: db }, ports: [{ port: 5432 }] }\n---\n\
                    apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: db, namespace: prod }\nspec:\n  selector: { matchLabels: { app: db } }\n  template:\n    metadata: { labels: { app: db } }\n    \
                    spec: { containers: [{ name: db, image: \"postgres:16\", ports: [{ containerPort: 5432 }] }] }\n";
    let imported = import(&[file("compose.yaml", compose), file("k8s.yaml", manifest)], None).unwrap();
    let loaded = model::load(&[file("ward.yaml", &imported.written.text)]).model.unwrap();
    let flows: Vec<String> = loaded.flows.iter().map(|f| format!("{} {}", f.from, f.to)).collect();
    assert_eq!(flows, ["api db"], "{}", imported.written.text);
}

#[test]
fn ten_megabytes_are_bounded() {
    let chain: String = (0..60_000).map(|i| format!("n{i}-->m{i}\n")).collect();
    let error = import(&[file("a.mmd", &format!("flowchart LR\n{chain}"))], None).unwrap_err().to_string();
    assert!(error.contains("more than 50000 arrows"), "{error}");
    // Ten megabytes.
    let boxes: String = (0..220_000).map(|i| format!("n{i}[App]:::{}\n", "c".repeat(36))).collect();
    let error = import(&[file("a.mmd", &format!("flowchart LR\n{boxes}"))], None).unwrap_err().to_string();
    assert!(error.contains("nouns"), "{error}");
    let same = "n[App] --> m[App]\n".repeat(10_000);
    let imported = import(&[file("a.mmd", &format!("flowchart LR\n{same}"))], None).unwrap();
    assert_eq!(imported.written.nouns[3], 1);
    let messages: String = (0..20_000).map(|i| format!("a->>b: message {i}\n")).collect();
    let imported = import(&[file("a.mmd", &format!("sequenceDiagram\n{messages}"))], None).unwrap();
    assert_eq!(imported.written.nouns[3], 1);
    let deep = "subgraph x\n".repeat(50_000);
    assert!(import(&[file("a.mmd", &format!("flowchart LR\n{deep}a-->b\n"))], None).is_ok());
    let open = "a[\"".repeat(50_000) + &"b@{".repeat(50_000) + &"c(((x)".repeat(20_000);
    assert!(import(&[file("a.mmd", &format!("flowchart LR\n{open}\na-->b\n"))], None).is_ok());
    let boxes: String = (0..100_001).map(|i| format!("n{i}\n")).collect();
    let error = import(&[file("a.mmd", &format!("flowchart LR\n{boxes}"))], None).unwrap_err().to_string();
    assert!(error.contains("100001 nodes"), "{error}");
    let deep = format!("services:\n  a: {}1{}\n", "[".repeat(20_000), "]".repeat(20_000));
    assert!(import(&[file("a.yaml", &deep)], None).is_err());
}

proptest! {
    #[test]
    fn no_text_breaks_any_importer(text in "(\\PC|\n){0,200}", at in 0..Format::ALL.len()) {
        if let Err(error) = import(&[file("x", &text)], Format::ALL.get(at).copied()) {
            prop_assert!(!matches!(error, ImportError::Refuses(_)), "{}\n{}", error, text);
        }
    }
}

#[test]
fn several_files_are_named_after_their_directory() {
    let named = |names: &[&str]| {
        let files: Vec<SourceFile> = names.iter().map(|n| file(n, "flowchart LR\n a-->b\n")).collect();
        let text = import(&files, None).unwrap().written.text;
        text.lines().find_map(|l| l.strip_prefix("model: ")).unwrap().to_owned()
    };
    assert_eq!(named(&["shop/db.mmd", "shop/web.mmd"]), "shop");
    assert_eq!(named(&["shop/k8s/db.mmd", "shop/k8s/more/web.mmd"]), "k8s");
    assert_eq!(named(&["shop/db.mmd"]), "db");
    assert_eq!(named(&["./db.mmd", "./web.mmd"]), "db");
    assert_eq!(named(&["db.mmd", "web.mmd"]), "db");
    assert_eq!(named(&["a/db.mmd", "b/web.mmd"]), "db");
}
