//! What an IAM policy lets its holder do: administer the account, or read and write which stores.
//!
//! `Deny` takes away where it has no condition. `Allow` under a condition that is not understood gives no administration, and
//! what it gives is guessed: a power that nobody has would be a false alarm.
use std::cell::Cell;

use model::tree::Tree;

use super::plan::{Plan, blocks, constants, texts};

/// Most comparisons of a pattern with a name in one import. A real account needs less than a million.
const MATCHES_MAX: usize = 50_000_000;
/// Longest pattern that is compared; an ARN has at most 2048 characters.
const PATTERN_MAX: usize = 2_048;
/// Longest policy text; IAM takes 10,240 characters, S3 and KMS 32 KiB.
const TEXT_MAX: usize = 256 << 10;

/// A statement of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    is_deny: bool,
    actions: Vec<String>,
    /// The actions are those that are left out.
    is_not_actions: bool,
    resources: Vec<String>,
    /// Resources that an expression names and whose ARN is not known yet.
    named: Vec<usize>,
    is_not_resources: bool,
    /// A condition that narrows whom or what it is about.
    is_conditional: bool,
    principals: Vec<(String, String)>,
    is_not_principals: bool,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// Its statements.
    Known(Vec<Statement>),
    /// It is known after apply; these resources are named in it.
    Unknown(Vec<usize>),
}

/// What an action is done to.
#[derive(Clone, Copy)]
pub(super) enum Target<'t> {
    /// Whatever there is.
    Everything,
    /// A resource, with the ends that its ARN may have.
    Resource { id: usize, arn: Option<&'t str>, service: &'t str, tails: &'t [String] },
}

/// How far something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Can {
    No,
    /// Under a condition.
    Maybe,
    /// Among everything.
    Broadly,
    /// By name.
    Named,
}

/// Compares patterns, as often as is reasonable.
pub(super) struct Matcher {
    left: Cell<usize>,
}

impl Default for Matcher {
    fn default() -> Self {
        Self { left: Cell::new(MATCHES_MAX) }
    }
}

impl Matcher {
    /// Whether it gave up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.left.get() == 0
    }

    /// `*` is any run of characters, `?` one (IAM policy elements).
    fn is_match(&self, pattern: &str, text: &str) -> bool {
        let cost = 1 + (pattern.len() * text.len()) / 64;
        self.left.set(self.left.get().saturating_sub(cost));
        if self.is_exhausted() || pattern.len() > PATTERN_MAX || text.len() > PATTERN_MAX {
            return false;
        }
        let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
        let (mut p, mut t, mut star, mut mark) = (0, 0, None, 0);
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    (star, mark) = (Some(p), t);
                    p += 1;
                }
                Some(b) if *b == b'?' || text.get(t).is_some_and(|c| c.eq_ignore_ascii_case(b)) => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some(at) => {
                        mark += 1;
                        (p, t) = (at + 1, mark);
                    }
                    None => return false,
                },
            }
        }
        pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
    }
}

impl Statement {
    /// Allows these actions on everything, or all but these.
    pub(super) fn allowing(actions: Vec<String>, is_not_actions: bool) -> Self {
        Self { actions, is_not_actions, resources: vec!["*".to_owned()], ..Self::default() }
    }

    /// Whether it lets in who has proved himself to an identity provider.
    pub(super) fn is_federated(&self) -> bool {
        !self.is_deny && self.principals.iter().any(|(kind, _)| kind == "Federated")
    }

    /// Whether it allows an action, on whatever.
    pub(super) fn is_about(&self, action: &str, matcher: &Matcher) -> bool {
        !self.is_deny && self.has_action(action, matcher)
    }

    fn has_action(&self, action: &str, matcher: &Matcher) -> bool {
        self.actions.iter().any(|pattern| matcher.is_match(pattern, action)) != self.is_not_actions
    }

    /// Accounts, roles and users that a policy of a resource allows something to.
    pub(super) fn lets_in(&self) -> impl Iterator<Item = &str> {
        let aws = self.principals.iter().filter(|(kind, _)| matches!(kind.as_str(), "AWS" | "*"));
        aws.filter(|_| !self.is_deny && !self.is_not_principals).map(|(_, who)| who.as_str())
    }

    fn reaches(&self, target: Target<'_>, matcher: &Matcher) -> Option<Can> {
        if self.is_not_resources {
            // All but some: broad, and of one resource it is not known to be left out.
            let left_out = match target {
                Target::Everything => false,
                Target::Resource { .. } => self.resources.iter().any(|p| in_resource(p, target, matcher).is_some()),
            };
            return (!left_out).then_some(Can::Broadly);
        }
        let by_name = match target {
            Target::Resource { id, .. } => self.named.contains(&id),
            Target::Everything => false,
        };
        let by_pattern = self.resources.iter().filter_map(|p| in_resource(p, target, matcher)).max();
        if by_name { Some(Can::Named) } else { by_pattern }
    }
}

fn in_resource(pattern: &str, target: Target<'_>, matcher: &Matcher) -> Option<Can> {
    let is_all = pattern == "*" || pattern.split(':').all(|part| part == "*");
    match target {
        _ if is_all => Some(Can::Broadly),
        Target::Everything => {
            // `arn:aws:iam::*:role/*` is every role, `arn:aws:iam::1:role/app-*` is not.
            let last = pattern.splitn(6, ':').nth(5)?;
            let rest = last.split_once('/').map_or(last, |(_, rest)| rest);
            (rest == "*").then_some(Can::Broadly)
        }
        Target::Resource { arn: Some(arn), service, .. } if service != "s3" && matcher.is_match(pattern, arn) => {
            Some(if pattern.ends_with(":*") || pattern.ends_with("/*") { Can::Broadly } else { Can::Named })
        }
        Target::Resource { service, tails, .. } => {
            let mut parts = pattern.splitn(6, ':');
            let (of, last) = (parts.nth(2)?, parts.nth(2)?);
            let is_in = |tail: &String| {
                // A part of a bucket is some of its data.
                matcher.is_match(last, tail)
                    || service == "s3"
                        && last
                            .split_once('/')
                            .is_some_and(|(b, _)| tail.split_once('/').is_some_and(|(own, _)| own == b))
            };
            let found = matcher.is_match(of, service) && tails.iter().any(is_in);
            let is_broad = last.trim_end_matches("/*").ends_with('*') || last.starts_with('*');
            found.then_some(if is_broad { Can::Broadly } else { Can::Named })
        }
    }
}

/// The statements about one action.
pub(super) struct About<'s> {
    allow: Vec<&'s Statement>,
    deny: Vec<&'s Statement>,
}

impl<'s> About<'s> {
    /// Picks them.
    pub(super) fn new(statements: &'s [Statement], action: &str, matcher: &Matcher) -> Self {
        let all = statements.iter().filter(|s| s.has_action(action, matcher));
        let (deny, allow): (Vec<_>, Vec<_>) = all.partition(|s| s.is_deny);
        Self { allow, deny: deny.into_iter().filter(|s| !s.is_conditional).collect() }
    }

    /// Whether they let it be done to this.
    pub(super) fn can(&self, target: Target<'_>, matcher: &Matcher) -> Can {
        let allows = self.allow.iter().filter_map(|s| {
            let reach = s.reaches(target, matcher)?;
            Some(if s.is_conditional { Can::Maybe } else { reach })
        });
        let found = allows.max().unwrap_or(Can::No);
        let is_denied = found > Can::No && self.deny.iter().any(|s| s.reaches(target, matcher).is_some());
        if is_denied { Can::No } else { found }
    }
}

/// Whether the statements let somebody do this.
pub(super) fn can(statements: &[Statement], action: &str, target: Target<'_>, matcher: &Matcher) -> Can {
    About::new(statements, action, matcher).can(target, matcher)
}

/// What makes its holder an administrator, in words; nothing where nothing does.
///
/// Ways to more rights than one has are those that are public: <https://rhinosecuritylabs.com/aws/aws-privilege-escalation-methods-mitigation/>.
pub(super) fn administers(statements: &[Statement], matcher: &Matcher) -> Option<&'static str> {
    let may = |action: &str| can(statements, action, Target::Everything, matcher) >= Can::Broadly;
    const SERVICES: [&str; 8] = [
        "ec2:RunInstances",
        "s3:GetObject",
        "rds:ModifyDBInstance",
        "lambda:UpdateFunctionCode",
        "kms:Decrypt",
        "dynamodb:Scan",
        "secretsmanager:GetSecretValue",
        "cloudformation:CreateStack",
    ];
    const ALONE: [(&str, &str); 12] = [
        ("iam:CreatePolicyVersion", "it may write new versions of policies (`iam:CreatePolicyVersion`)"),
        ("iam:SetDefaultPolicyVersion", "it may choose versions of policies (`iam:SetDefaultPolicyVersion`)"),
        ("iam:AttachRolePolicy", "it may attach any policy to any role (`iam:AttachRolePolicy`)"),
        ("iam:AttachUserPolicy", "it may attach any policy to any user (`iam:AttachUserPolicy`)"),
        ("iam:AttachGroupPolicy", "it may attach any policy to any group (`iam:AttachGroupPolicy`)"),
        ("iam:PutRolePolicy", "it may write policies of any role (`iam:PutRolePolicy`)"),
        ("iam:PutUserPolicy", "it may write policies of any user (`iam:PutUserPolicy`)"),
        ("iam:PutGroupPolicy", "it may write policies of any group (`iam:PutGroupPolicy`)"),
        ("iam:AddUserToGroup", "it may put anybody into any group (`iam:AddUserToGroup`)"),
        ("iam:CreateAccessKey", "it may make keys of any user (`iam:CreateAccessKey`)"),
        ("iam:CreateLoginProfile", "it may set passwords of any user (`iam:CreateLoginProfile`)"),
        ("iam:UpdateLoginProfile", "it may change passwords of any user (`iam:UpdateLoginProfile`)"),
    ];
    const PASSED: [(&str, &str); 8] = [
        ("ec2:RunInstances", "it may start machines with any role (`iam:PassRole`, `ec2:RunInstances`)"),
        ("lambda:CreateFunction", "it may start functions with any role (`iam:PassRole`, `lambda:CreateFunction`)"),
        (
            "ecs:RegisterTaskDefinition",
            "it may start tasks with any role (`iam:PassRole`, `ecs:RegisterTaskDefinition`)",
        ),
        ("glue:CreateJob", "it may start jobs with any role (`iam:PassRole`, `glue:CreateJob`)"),
        ("glue:CreateDevEndpoint", "it may start machines with any role (`iam:PassRole`, `glue:CreateDevEndpoint`)"),
        (
            "cloudformation:CreateStack",
            "it may create anything with any role (`iam:PassRole`, `cloudformation:CreateStack`)",
        ),
        (
            "sagemaker:CreateNotebookInstance",
            "it may start notebooks with any role (`iam:PassRole`, `sagemaker:CreateNotebookInstance`)",
        ),
        ("codebuild:CreateProject", "it may run builds with any role (`iam:PassRole`, `codebuild:CreateProject`)"),
    ];
    if SERVICES.iter().all(|a| may(a)) {
        let iam = may("iam:CreateUser");
        return Some(if iam { "it may do everything (`*`)" } else { "it may do nearly everything in every service" });
    }
    if ALONE.iter().all(|(a, _)| may(a)) {
        return Some("it administers IAM, and with it the account (`iam:*`)");
    }
    if let Some((_, why)) = ALONE.iter().find(|(a, _)| may(a)) {
        return Some(why);
    }
    if may("iam:UpdateAssumeRolePolicy") && may("sts:AssumeRole") {
        return Some("it may let itself become any role (`iam:UpdateAssumeRolePolicy`, `sts:AssumeRole`)");
    }
    PASSED.iter().find(|(a, _)| may("iam:PassRole") && may(a)).map(|(_, why)| *why)
}

impl Document {
    /// The policy that an attribute holds: its text, a document that is written as a data source, or what is named in it.
    pub(super) fn of(plan: &Plan<'_>, id: usize, path: &[&str]) -> Option<Self> {
        let known = plan.get(id).texts(path);
        if let Some(text) = known.first() {
            return Some(Self::parse(text));
        }
        let refers = plan.refers(id, path);
        let written: Vec<usize> = refers.iter().copied().filter(|r| plan.get(*r).is_data).collect();
        if !written.is_empty() {
            let mut all = Vec::new();
            for data in written {
                match Self::written(plan, data) {
                    Self::Known(statements) => all.extend(statements),
                    unknown @ Self::Unknown(_) => return Some(unknown),
                }
            }
            return Some(Self::Known(all));
        }
        let is_there = !refers.is_empty() || path.first().is_some_and(|key| plan.get(id).is_configured(key));
        is_there.then_some(Self::Unknown(refers))
    }

    /// A policy's JSON.
    pub(super) fn parse(text: &str) -> Self {
        if text.len() > TEXT_MAX {
            return Self::Unknown(Vec::new());
        }
        let Ok(tree) = Tree::json(text) else { return Self::Unknown(Vec::new()) };
        let list = |tree: &Tree, key: &str| texts(tree, &[key]).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let statements = blocks(&tree, "Statement").into_iter().map(|s| {
            let (is_not_actions, is_not_resources) = (s.get("NotAction").is_some(), s.get("NotResource").is_some());
            let is_not_principals = s.get("NotPrincipal").is_some();
            let principal = s.get("Principal").or_else(|| s.get("NotPrincipal"));
            let principals = match principal {
                Some(p) if p.text().is_some() => vec![("*".to_owned(), p.text().unwrap_or_default().to_owned())],
                Some(p) => p
                    .entries()
                    .iter()
                    .flat_map(|(kind, _)| list(p, kind).into_iter().map(|v| (kind.clone(), v)))
                    .collect(),
                None => Vec::new(),
            };
            let is_deny = s.text_at(&["Effect"]) != Some("Allow");
            Statement {
                is_deny,
                actions: list(s, if is_not_actions { "NotAction" } else { "Action" }),
                is_not_actions,
                resources: list(s, if is_not_resources { "NotResource" } else { "Resource" }),
                named: Vec::new(),
                is_not_resources,
                // A `Deny` without TLS denies nobody who speaks it; an `Allow` with TLS allows everybody who does.
                is_conditional: s
                    .get("Condition")
                    .is_some_and(|c| !c.entries().is_empty() && (is_deny || !is_harmless(c))),
                principals,
                is_not_principals,
            }
        });
        Self::Known(statements.collect())
    }

    /// A document of the provider's `aws_iam_policy_document`: what was read of it, else what is written.
    fn written(plan: &Plan<'_>, data: usize) -> Self {
        let of = plan.get(data);
        if let Some(text) = of.text(&["json"]) {
            return Self::parse(text);
        }
        let (read, configured) = (of.blocks("statement"), of.configured("statement"));
        if read.is_empty() && configured.is_empty() {
            return Self::Unknown(plan.refers(data, &[]));
        }
        let mut statements = Vec::new();
        for at in 0..read.len().max(configured.len()) {
            let (read, configured) = (read.get(at).copied(), configured.get(at).copied());
            let get = |key: &str| -> Vec<String> {
                let known = read.map(|r| texts(r, &[key])).unwrap_or_default();
                let written = || configured.map(|c| constants(c, key)).unwrap_or_default();
                let found = if known.is_empty() { written() } else { known };
                found.into_iter().map(str::to_owned).collect()
            };
            let named = |key: &str| -> Vec<usize> {
                let Some(expression) = configured.and_then(|c| c.get(key)) else { return Vec::new() };
                plan.refers_in(data, expression)
            };
            let has = |key: &str| !get(key).is_empty() || !named(key).is_empty();
            let (is_not_actions, is_not_resources) = (has("not_actions"), has("not_resources"));
            let principals_of = |key: &str| -> Vec<(String, String)> {
                let known = read.map(|r| blocks(r, key)).unwrap_or_default();
                let from_known = known.iter().flat_map(|p| {
                    let kind = p.text_at(&["type"]).unwrap_or_default().to_owned();
                    texts(p, &["identifiers"]).into_iter().map(move |v| (kind.clone(), v.to_owned()))
                });
                let mut all: Vec<(String, String)> = from_known.collect();
                if all.is_empty() {
                    for p in configured.map(|c| blocks(c, key)).unwrap_or_default() {
                        let kind = constants(p, "type").first().copied().unwrap_or_default();
                        all.extend(constants(p, "identifiers").into_iter().map(|v| (kind.to_owned(), v.to_owned())));
                        if p.get("identifiers").is_some_and(|i| i.get("references").is_some()) {
                            all.push((kind.to_owned(), String::new()));
                        }
                    }
                }
                all
            };
            let is_not_principals = has("not_principals");
            let condition = read.map(|r| blocks(r, "condition")).unwrap_or_default();
            let conditions = if condition.is_empty() {
                configured.map(|c| blocks(c, "condition")).unwrap_or_default()
            } else {
                condition
            };
            let is_deny = get("effect").first().is_some_and(|e| e != "Allow");
            let is_conditional = conditions.iter().any(|c| {
                let variable =
                    texts(c, &["variable"]).first().copied().or_else(|| constants(c, "variable").first().copied());
                is_deny || !variable.is_some_and(|v| HARMLESS.contains(&v.to_ascii_lowercase().as_str()))
            });
            statements.push(Statement {
                is_deny,
                actions: get(if is_not_actions { "not_actions" } else { "actions" }),
                is_not_actions,
                resources: get(if is_not_resources { "not_resources" } else { "resources" }),
                named: named(if is_not_resources { "not_resources" } else { "resources" }),
                is_not_resources,
                is_conditional,
                principals: principals_of(if is_not_principals { "not_principals" } else { "principals" }),
                is_not_principals,
            });
        }
        Self::Known(statements)
    }

    /// Its statements; none where they are not known.
    pub(super) fn statements(&self) -> &[Statement] {
        match self {
            Self::Known(statements) => statements,
            Self::Unknown(_) => &[],
        }
    }
}

/// Keys of conditions that keep out no caller.
const HARMLESS: [&str; 4] = ["aws:securetransport", "aws:requestedregion", "s3:tlsversion", "aws:viaawsservice"];

fn is_harmless(condition: &Tree) -> bool {
    let mut keys =
        condition.entries().iter().flat_map(|(_, keys)| keys.entries()).map(|(key, _)| key.to_ascii_lowercase());
    keys.all(|key| HARMLESS.contains(&key.as_str()))
}

/// What a policy of a resource gives to anybody: the actions of which some are allowed to everybody, without a condition and
/// with nothing that denies it to them.
pub(super) fn gives_anybody(statements: &[Statement], actions: &[&str], matcher: &Matcher) -> bool {
    let is_anybody = |s: &Statement| {
        !s.is_not_principals
            && s.principals.iter().any(|(kind, who)| who == "*" && matches!(kind.as_str(), "*" | "AWS"))
    };
    actions.iter().any(|action| {
        let denied = statements.iter().filter(|s| s.is_deny && !s.is_conditional && is_anybody(s));
        let mut allowed = statements.iter().filter(|s| !s.is_deny && !s.is_conditional && is_anybody(s));
        allowed.any(|s| s.has_action(action, matcher)) && !denied.into_iter().any(|s| s.has_action(action, matcher))
    })
}

/// Who may become a role: anybody at all, by the actions of `sts`.
pub(super) fn lets_anybody_in(statements: &[Statement], matcher: &Matcher) -> bool {
    gives_anybody(statements, &["sts:AssumeRole"], matcher)
}
