//! What rules claim and what frameworks list, held together.
use std::collections::BTreeSet;

use super::Scope;
use crate::{Framework, RULES};

#[test]
fn what_rules_name_is_listed_as_tested_and_the_other_way_round() {
    let named: BTreeSet<(Framework, &str)> =
        RULES.iter().flat_map(|r| r.controls.iter().map(|c| (c.framework, c.id))).collect();
    let listed = |tested: bool| -> BTreeSet<(Framework, &str)> {
        let all = Framework::ALL.into_iter().flat_map(|f| f.table().clauses.iter().map(move |c| (f, c)));
        all.filter(|(_, c)| c.tested == tested).map(|(f, c)| (f, c.id)).collect()
    };
    assert_eq!(named.difference(&listed(true)).collect::<Vec<_>>(), Vec::<&(Framework, &str)>::new(), "not in a table");
    assert_eq!(
        listed(true).difference(&named).collect::<Vec<_>>(),
        Vec::<&(Framework, &str)>::new(),
        "no rule tests it"
    );
    assert!(listed(false).is_disjoint(&named));
    for rule in RULES {
        let own: BTreeSet<_> = rule.controls.iter().collect();
        assert_eq!(own.len(), rule.controls.len(), "{} names a control twice", rule.id);
    }
}

#[test]
fn tables_are_whole() {
    for framework in Framework::ALL {
        let table = framework.table();
        let ids: BTreeSet<&str> = table.clauses.iter().map(|c| c.id).collect();
        assert_eq!(ids.len(), table.clauses.len(), "{}: an id twice", table.name);
        for clause in table.clauses {
            let id = format!("{} {}", table.name, clause.id);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ' ';
            assert!(!clause.id.is_empty() && clause.id.chars().all(plain), "{id}");
            assert!(!clause.title.is_empty() && clause.title.len() <= 60 && !clause.title.ends_with('.'), "{id}");
            assert!(clause.asks.ends_with('.') && clause.asks.len() > 20, "{id}");
            assert!(!clause.show.is_empty() && !clause.show.ends_with('.'), "{id}");
        }
        assert!(table.clauses.iter().any(|c| c.tested) && table.clauses.iter().any(|c| !c.tested));
        assert_eq!(Framework::find(framework.as_str()), Some(framework));
        assert_eq!(table.scope == Scope::Everything, table.scope.said_by().is_empty());
    }
}

#[test]
fn a_framework_is_found_by_a_beginning_that_means_one() {
    assert_eq!(Framework::find("pci-dss"), Some(Framework::PciDss));
    assert_eq!(Framework::find("nist-8"), Some(Framework::Nist800207));
    assert_eq!(Framework::find("nist"), None);
    assert_eq!(Framework::find(""), None);
    assert_eq!(Framework::find("hipaa"), None);
}

#[test]
fn nothing_is_called_anonymous() {
    let table = Framework::Gdpr.table();
    assert!(table.note.contains("still personal data"));
    let words = table.clauses.iter().flat_map(|c| [c.title, c.asks, c.show]);
    assert!(words.into_iter().all(|w| !w.to_lowercase().contains("anonym")));
}
