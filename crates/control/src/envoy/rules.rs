//! Envoy's `RBAC` (`envoy.config.rbac.v3`): who (principals) and what (permissions), as one rule of a policy asks for them.
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::matcher::{HeaderMatcher, MetadataMatcher, StringMatcher};

/// A set of rules with one action.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Rbac {
    pub(crate) action: RbacAction,
    /// Rules by name.
    pub(crate) policies: BTreeMap<String, RbacPolicy>,
}

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RbacAction {
    Allow,
    Deny,
    Log,
}

/// Any of the permissions and any of the principals.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RbacPolicy {
    pub(crate) permissions: Vec<Permission>,
    pub(crate) principals: Vec<Principal>,
}

impl RbacPolicy {
    /// What no request satisfies.
    pub(crate) fn never() -> Self {
        Self { permissions: vec![Permission::any().not()], principals: vec![Principal::any().not()] }
    }
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Permission {
    Any(bool),
    AndRules { rules: Vec<Permission> },
    OrRules { rules: Vec<Permission> },
    NotRule(Box<Permission>),
    Header(HeaderMatcher),
    UrlPath { path: StringMatcher },
    UriTemplate(Value),
    DestinationIp(Value),
    DestinationPort(u16),
    RequestedServerName(StringMatcher),
    Metadata(MetadataMatcher),
}

/// Who does it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Principal {
    Any(bool),
    AndIds { ids: Vec<Principal> },
    OrIds { ids: Vec<Principal> },
    NotId(Box<Principal>),
    Authenticated { principal_name: StringMatcher },
    DirectRemoteIp(Value),
    RemoteIp(Value),
    Header(HeaderMatcher),
    Metadata(MetadataMatcher),
}

/// What permissions and principals have in common.
pub(crate) trait Logic: Sized {
    fn any() -> Self;
    fn and(all: Vec<Self>) -> Self;
    fn or(any: Vec<Self>) -> Self;
    #[must_use]
    fn not(self) -> Self;
}

impl Logic for Permission {
    fn any() -> Self {
        Self::Any(true)
    }

    fn and(rules: Vec<Self>) -> Self {
        Self::AndRules { rules }
    }

    fn or(rules: Vec<Self>) -> Self {
        Self::OrRules { rules }
    }

    fn not(self) -> Self {
        Self::NotRule(Box::new(self))
    }
}

impl Logic for Principal {
    fn any() -> Self {
        Self::Any(true)
    }

    fn and(ids: Vec<Self>) -> Self {
        Self::AndIds { ids }
    }

    fn or(ids: Vec<Self>) -> Self {
        Self::OrIds { ids }
    }

    fn not(self) -> Self {
        Self::NotId(Box::new(self))
    }
}
