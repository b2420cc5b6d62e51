//! The index finds what reading every rule in turn finds, and asks of a rule no more than it left unproven.
use std::fmt::Write as _;

use super::*;
use crate::{
    RuleSet,
    rules::Phase,
    testing::{Facts as Line, policy, rules},
};

/// The phase as its policies compiled, and with every node split that can be.
fn finely(phase: &Phase) -> [Index; 2] {
    [Protocol::Http, Protocol::Tcp].map(|protocol| Index::finely(&phase.rules, protocol))
}

/// Whether the tree, split coarsely and finely, finds the rule that reading all in turn finds.
fn check(set: &RuleSet, line: &str) {
    let line = Line::parse(line);
    let request = line.request();
    let facts = Facts::new(&request);
    for phase in set.phases() {
        let expect = phase.rules.iter().position(|rule| rule.matches(&facts));
        let coarse = if facts.is_tcp() { &phase.tcp } else { &phase.http };
        let [http, tcp] = finely(phase);
        let fine = if facts.is_tcp() { tcp } else { http };
        assert_eq!(coarse.find(&phase.rules, &facts), expect, "{request:?}");
        assert_eq!(fine.find(&phase.rules, &facts), expect, "{request:?}");
    }
}

/// How many rules are read for a request, at most.
fn read(set: &RuleSet, line: &str) -> usize {
    let line = Line::parse(line);
    let request = line.request();
    let facts = Facts::new(&request);
    let index = if facts.is_tcp() { &set.allow.tcp } else { &set.allow.http };
    let mut leaves = Vec::new();
    index.leaves_of(index.root, &facts, &mut leaves);
    leaves.iter().sum()
}

impl Index {
    /// The sizes of the leaves that a request reaches.
    fn leaves_of(&self, node: u32, facts: &Facts, sizes: &mut Vec<usize>) {
        match &self.nodes[index(node)] {
            Node::Leaf { start, end, .. } => sizes.push(index(end - start)),
            Node::Split(split) => {
                let mut on = |node| self.leaves_of(node, facts, sizes);
                for (patterns, backward) in [(&split.forward, false), (&split.backward, true)] {
                    if let Some(patterns) = patterns {
                        split.dimension.visit(facts, patterns, backward, &mut on);
                    }
                }
                split.others.into_iter().for_each(on);
            }
        }
    }
}

/// A thousand ALLOW policies that differ in one thing, and how many of them a request that fits one of them reads.
fn thousand(rule: impl Fn(usize) -> String, line: &str) -> usize {
    let policies: Vec<_> =
        (0..1000).map(|i| policy(&format!("p{i:04}"), &format!("{{rules: [{{{}}}]}}", rule(i)))).collect();
    let set = rules(&policies);
    check(&set, line);
    let line_parsed = Line::parse(line);
    assert!(set.decide(&line_parsed.request()).is_allowed(), "{line}");
    read(&set, line)
}

#[test]
fn few_rules_are_read_whatever_tells_them_apart() {
    let from = |source: String| format!("from: [{{source: {{{source}}}}}]");
    let to = |operation: String| format!("to: [{{operation: {{{operation}}}}}]");
    let whole = "principals: [shop.example/ns/shop/sa/web]";
    for (name, rule, line) in [
        (
            "principals",
            Box::new(|i| from(format!("principals: [shop.example/ns/shop/sa/s{i}]"))) as Box<dyn Fn(usize) -> String>,
            "GET / as shop/s777",
        ),
        ("prefixes", Box::new(|i| from(format!("principals: [shop.example/ns/n{i}x*]"))), "GET / as n777x/y"),
        ("suffixes", Box::new(|i| from(format!("principals: ['*/sa/s{i}']"))), "GET / as shop/s777"),
        ("namespaces", Box::new(|i| from(format!("namespaces: [n{i}]"))), "GET / as n777/y"),
        ("ends of namespaces", Box::new(|i| from(format!("namespaces: ['*-x{i}']"))), "GET / as team-x777/y"),
        ("service accounts", Box::new(|i| from(format!("serviceAccounts: [shop/s{i}]"))), "GET / as shop/s777"),
        (
            "accounts of one name",
            Box::new(|i| from(format!("serviceAccounts: [n{i}/default]"))),
            "GET / as n777/default",
        ),
        (
            "trust domains",
            Box::new(|i| from(format!("trustDomains: [t{i}.example]"))),
            "GET / as spiffe://t777.example/x",
        ),
        (
            "one caller, paths",
            Box::new(|i| format!("{}, {}", from(whole.into()), to(format!("paths: [/a/{i}, /b/{i}/*]")))),
            "GET /b/777/c as shop/web",
        ),
        ("paths", Box::new(|i| to(format!("methods: [GET], paths: [/a/{i}]"))), "GET /a/777"),
        ("ends of paths", Box::new(|i| to(format!("paths: ['*/x{i}']"))), "GET /a/x777"),
        ("templates", Box::new(|i| to(format!("paths: ['/a/{{*}}/b/{{*}}/c/{i}']"))), "GET /a/x/b/y/c/777"),
        ("templates with a rest", Box::new(|i| to(format!("paths: ['/a/{{*}}/c{i}/{{**}}']"))), "GET /a/x/c777/y/z"),
        ("templates with an end", Box::new(|i| to(format!("paths: ['/{{**}}/c{i}']"))), "GET /a/x/c777"),
        ("hosts", Box::new(|i| to(format!("hosts: [h{i}.example]"))), "GET / host=H777.example:8080"),
        ("ends of hosts", Box::new(|i| to(format!("hosts: ['*.h{i}.example']"))), "GET / host=a.h777.example"),
        ("ports", Box::new(|i| to(format!("ports: ['{i}']"))), "GET / port=777"),
        ("ports on tcp", Box::new(|i| to(format!("ports: ['{i}']"))), "tcp port=777"),
        ("methods", Box::new(|i| to(format!("methods: [M{i}]"))), "M777 /"),
        ("server names", Box::new(|i| format!("when: [{{key: connection.sni, values: [s{i}]}}]")), "tcp sni=s777"),
        (
            "conditions",
            Box::new(|i| format!("when: [{{key: source.principal, values: [shop.example/ns/shop/sa/s{i}]}}]")),
            "GET / as shop/s777",
        ),
        // Half say nothing about the path, half nothing about the caller.
        (
            "halves",
            Box::new(|i| {
                if i % 2 == 0 {
                    from(format!("principals: [shop.example/ns/shop/sa/s{i}]"))
                } else {
                    to(format!("paths: [/a/{i}]"))
                }
            }),
            "GET /a/777 as shop/s776",
        ),
        // The same hundred callers in every policy.
        (
            "groups",
            Box::new(|i| {
                let callers: Vec<_> = (0..100).map(|n| format!("shop.example/ns/shop/sa/s{n}")).collect();
                format!("{}, {}", from(format!("principals: [{}]", callers.join(", "))), to(format!("paths: [/a/{i}]")))
            }),
            "GET /a/777 as shop/s77",
        ),
    ] {
        let read = thousand(rule, line);
        assert!(read <= 2 * LEAF_MAX, "{name}: {read} rules are read");
    }
}

// One policy may hold what others write in a thousand.
#[test]
fn many_values_and_many_entries_of_one_rule() {
    let mut paths = String::new();
    let mut entries = String::new();
    for i in 0..2000 {
        write!(paths, "/a/{i}, ").unwrap();
        write!(entries, "{{operation: {{methods: [GET], paths: [/b/{i}]}}}}, ").unwrap();
    }
    let set = rules(&[
        policy("p0", &format!("{{rules: [{{to: [{{operation: {{paths: [{paths}]}}}}]}}]}}")),
        policy(
            "p1",
            &format!(
                "{{rules: [{{from: [{{source: {{namespaces: [a]}}}}, {{source: {{namespaces: [b]}}}}], to: [{entries}]}}]}}"
            ),
        ),
    ]);
    for line in [
        "GET /a/1999",
        "GET /b/1999 as a/x",
        "GET /b/1999 as b/x",
        "GET /b/1999 as c/x",
        "POST /b/7 as a/x",
        "GET /c",
        "tcp",
    ] {
        check(&set, line);
        assert!(read(&set, line) <= 2 * LEAF_MAX, "{line}");
    }
}

// What splitting would multiply without end is left to the rules.
#[test]
fn memory_is_bounded() {
    let many = |word: &str| (0..60).map(|i| format!("{word}{i}")).collect::<Vec<_>>().join(", ");
    let policies: Vec<_> = (0..60)
        .map(|i| {
            // No two lists are the same, so that nothing can be shared.
            let spec = format!(
                "{{rules: [{{from: [{{source: {{principals: [p{i}, {}]}}}}], to: [{{operation: {{paths: [/only/{i}, {}], hosts: [h{i}, {}]}}}}]}}]}}",
                many("td/ns/a/sa/"),
                many("/a/"),
                many("host")
            );
            policy(&format!("p{i:02}"), &spec)
        })
        .collect();
    let set = rules(&policies);
    check(&set, "GET /a/59 as spiffe://td/ns/a/sa/59 host=host59");
    check(&set, "GET /only/7 as spiffe://td/ns/a/sa/3 host=h7");
    let values = 60 * (61 * 3);
    assert!(set.allow.http.leaves.len() <= 16 * 2 * values, "{}", set.allow.http.leaves.len());
}

// What the tree leaves out of a pattern is asked of the rule.
#[test]
fn what_is_not_proven_is_asked_again() {
    let paths = ["/start/{**}/end", "/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/x", "/{**}/a/long/end", "/y/{*}"];
    let specs: Vec<_> =
        paths.iter().map(|path| format!("{{rules: [{{to: [{{operation: {{paths: ['{path}']}}}}]}}]}}")).collect();
    let others = (0..20).map(|i| format!("{{rules: [{{to: [{{operation: {{paths: [/other/{i}]}}}}]}}]}}"));
    let hosts = ["{rules: [{to: [{operation: {hosts: ['h.example:1', '*.example:2']}}]}]}".to_owned()];
    let namespaces = ["{rules: [{from: [{source: {namespaces: ['team-*', '*-end']}}]}]}".to_owned()];
    let accounts = ["{rules: [{from: [{source: {serviceAccounts: [shop/web]}}]}]}".to_owned()];
    let specs = specs.into_iter().chain(others).chain(hosts).chain(namespaces).chain(accounts);
    let policies: Vec<_> = specs.enumerate().map(|(i, spec)| policy(&format!("p{i:02}"), &spec)).collect();
    let set = rules(&policies);
    for line in [
        "GET /start/x/end",
        "GET /start/x",
        "GET /start/end",
        "GET /1/2/3/4/5/6/7/8/9/x",
        "GET /1/2/3/4/5/6/7/8/9/y",
        "GET /1/2/3/4/5/6/7/8/x",
        "GET /a/long/end",
        "GET /b/a/long/end",
        "GET /other/7/x",
        "GET / host=h.example:1",
        "GET / host=h.example:2",
        "GET / host=h.example:3",
        "GET / as team-a/x",
        "GET / as spiffe://td/ns/team-a",
        "GET / as x-end/x",
        "GET / as spiffe://td-end/ns/x/sa/y",
        "GET / as shop/web",
        "GET / as spiffe://td/ns/shop/x/sa/web/y",
        "GET / as spiffe://td/ns/shopx/sa/web",
        "GET / as spiffe://td/ns/shop/sa/webx",
    ] {
        check(&set, line);
    }
}

#[test]
fn the_first_rule_by_name_is_reported() {
    let specs = [
        "{rules: [{from: [{source: {namespaces: [a]}}]}]}",
        "{rules: [{from: [{source: {principals: [shop.example/ns/a/sa/a]}}]}]}",
        "{rules: [{to: [{operation: {paths: [/a]}}]}]}",
        "{rules: [{}]}",
        "{rules: [{to: [{operation: {ports: ['8080']}}]}]}",
        "{rules: [{to: [{operation: {hosts: [h]}}]}]}",
    ];
    // Whatever leaf it stands in, and whatever else matches.
    for turn in 0..specs.len() {
        let policies: Vec<_> =
            (0..specs.len()).map(|i| policy(&format!("p{i}"), specs[(i + turn) % specs.len()])).collect();
        let set = rules(&policies);
        let line = Line::parse("GET /a as a/a host=h");
        assert_eq!(set.decide(&line.request()).rule().map(|at| set.policy_name(at)), Some("pci/p0"));
        check(&set, "GET /a as a/a host=h");
    }
}
