//! The models that people begin with must be good ones.
use clap::ValueEnum as _;
use model::SourceFile;

use super::Template;

#[test]
fn every_template_is_a_good_model() {
    for template in Template::value_variants() {
        let loaded = model::load(&[SourceFile { name: "ward.yaml".to_owned(), text: template.text().to_owned() }]);
        assert!(loaded.model.is_some(), "{template:?} {:#?}", loaded.diagnostics);
        // The first model of a newcomer begins without a warning; the shop shows what they look like.
        assert_eq!(loaded.diagnostics.is_empty(), *template == Template::Minimal, "{:#?}", loaded.diagnostics);
    }
}
