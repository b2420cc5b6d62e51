//! The models that people begin with must be good ones.
use clap::ValueEnum as _;
use model::SourceFile;

use super::{Args, Template, run};

#[test]
fn every_template_is_a_good_model() {
    for template in Template::value_variants() {
        let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text: template.text().to_owned() }]);
        assert!(loaded.model.is_some(), "{template:?} {:#?}", loaded.diagnostics);
        // The first model of a newcomer begins without a warning; the shop shows what they look like.
        assert_eq!(loaded.diagnostics.is_empty(), *template == Template::Minimal, "{:#?}", loaded.diagnostics);
    }
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    let args = |template| Args { dir: inner.clone(), template };
    run(args(Template::Minimal)).unwrap();
    let error = run(args(Template::Shop)).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(std::fs::read_to_string(inner.join("ward.yaml")).unwrap(), Template::Minimal.text());
}
