//! Questions about a model before anything runs: may this node send that request to the other one, and why? `ward
//! explain` and the model's own `tests:` ask here.
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use model::{Flow, Model, Node, PolicyTest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    CompileError, Explanation, PathFault, Protocol, Request, RuleSet, TokenFault, authentications_for, gate::Arrival,
    identity_of, rule_set_for, semantics_of, token_rules_for,
};

/// Who wants to send what to whom. What is not given has the value it would have on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question<'a> {
    /// Calling node.
    pub from: &'a str,
    /// Called node.
    pub to: &'a str,
    /// Method; `GET` when not given.
    pub method: Option<&'a str>,
    /// Request target as the caller would write it; `/` when not given.
    pub path: Option<&'a str>,
    /// Host; the first host of a gateway's listener, else the node's name.
    pub host: Option<&'a str>,
    /// Port of the called node; the first one it serves or listens on.
    pub port: Option<u16>,
    /// Request headers.
    pub headers: &'a [(String, String)],
    /// Claims of a token that was found good.
    pub claims: Option<&'a serde_json::Value>,
    /// TLS server name.
    pub sni: Option<&'a str>,
    /// Address of the calling proxy.
    pub source_ip: Option<IpAddr>,
    /// Address of the original caller; that of the calling proxy when not given.
    pub remote_ip: Option<IpAddr>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Calling node.
    pub from: String,
    /// Called node.
    pub to: String,
    /// Whether the request may pass.
    pub allowed: bool,
    /// Reason code: one of `Reason`, or of `PathFault` when the request is refused with 400 before any policy.
    pub reason: String,
    /// The answer in one line.
    pub words: String,
    /// The decision, rule by rule; absent when no policy was asked.
    pub explanation: Option<Explanation>,
    /// Flows between the two, on standby or not.
    pub flows: Vec<FlowReport>,
    /// Other flows into the called node.
    pub other_flows: Vec<FlowReport>,
}

/// A flow, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// Its id.
    pub id: String,
    /// Calling node.
    pub from: String,
    /// `allow` entries as written; absent when any request is allowed.
    pub allow: Option<Vec<String>>,
    /// The port, when the flow picks one.
    pub port: Option<u16>,
    /// Whether it needs an open emergency.
    pub standby: bool,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No such node.
    #[error("the model has no node `{name}`; {}", near.as_ref().map_or_else(|| format!("it has {}", known.join(", ")), |near| format!("did you mean `{near}`?")))]
    UnknownNode {
        /// What was asked for.
        name: String,
        /// The closest node.
        near: Option<String>,
        /// Every node.
        known: Vec<String>,
    },
    /// Ward enforces nothing there.
    #[error("`{node}` is not under Ward (it has no `run`, `attest` or `role`), so nothing is decided there")]
    NotUnderWard {
        /// The node.
        node: String,
    },
    /// The node does not serve the port.
    #[error("`{node}` does not serve port {port}; it serves {}", if served.is_empty() { "nothing".to_owned() } else { served.join(", ") })]
    UnknownPort {
        /// The node.
        node: String,
        /// What was asked for.
        port: u16,
        /// What it serves: `8080 (http)`.
        served: Vec<String>,
    },
    /// The node serves no port at all.
    #[error("`{node}` serves no port")]
    NoPort {
        /// The node.
        node: String,
    },
    /// Not a header.
    #[error("`{name}: {value}` is not a header")]
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The node's policies do not compile.
    #[error("the policies of `{node}` are refused: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Policies {
        /// The node.
        node: String,
        /// Every fault in them.
        faults: Vec<CompileError>,
    },
}

/// Answers as the called node's proxy would.
///
/// # Errors
/// The question names what the model does not have, or the policies of the called node do not compile.
pub fn ask(model: &Model, question: &Question) -> Result<Answer, AskError> {
    node(model, question.from)?;
    let target = node(model, question.to)?;
    if !target.under_ward() {
        return Err(AskError::NotUnderWard { node: question.to.to_owned() });
    }
    let rules = rule_set_for(model, question.to)
        .map_err(|faults| AskError::Policies { node: question.to.to_owned(), faults })?;
    ask_rules(model, &rules, target, question)
}

/// The question as a request that arrives at the called node.
///
/// # Errors
/// The question names what the model does not have.
pub fn arrival(model: &Model, question: &Question) -> Result<Arrival, AskError> {
    node(model, question.from)?;
    let target = node(model, question.to)?;
    if !target.under_ward() {
        return Err(AskError::NotUnderWard { node: question.to.to_owned() });
    }
    let (port, protocol) = port_of(target, question)?;
    Ok(Arrival {
        peer: identity_of(model, question.from).map(|id| id.as_str().to_owned()),
        method: question.method.unwrap_or("GET").to_owned(),
        target: question.path.unwrap_or("/").to_owned(),
        host: host_of(target, port, question).to_owned(),
        headers: question.headers.to_vec(),
        jwt: question.claims.cloned(),
        sni: question.sni.map(str::to_owned),
        source_ip: question.source_ip,
        remote_ip: question.remote_ip,
        port: Some(port),
        protocol,
        ..Arrival::default()
    })
}

fn host_of<'a>(target: &'a Node, port: u16, question: &Question<'a>) -> &'a str {
    let listener = target.listen.iter().find(|listen| listen.port == port);
    question.host.or_else(|| listener?.hosts.first().map(String::as_str)).unwrap_or(question.to)
}

fn ask_rules(model: &Model, rules: &RuleSet, target: &Node, question: &Question) -> Result<Answer, AskError> {
    let (port, protocol) = port_of(target, question)?;
    let headers = headers_of(question.headers)?;
    let principal = identity_of(model, question.from);
    let host = host_of(target, port, question);
    let claims = match protocol {
        Protocol::Http => counted(model, question)?,
        Protocol::Tcp => Ok(None),
    };
    let base = Request {
        principal: principal.as_ref().map(|id| id.as_str()),
        jwt: claims.as_ref().ok().and_then(Option::as_ref),
        sni: question.sni,
        source_ip: question.source_ip,
        remote_ip: question.remote_ip.or(question.source_ip),
        ..match protocol {
            Protocol::Http => Request { host, port, ..Request::new(&headers) },
            Protocol::Tcp => Request::tcp(&headers, port),
        }
    };
    let (explanation, words, reason) = match protocol {
        Protocol::Tcp => explained(rules, &base),
        Protocol::Http => match (semantics_of(model).normalize(question.path.unwrap_or("/")), &claims) {
            (_, Err(fault)) => (None, unproven(*fault), fault.as_str().to_owned()),
            (Ok(path), _) => {
                explained(rules, &Request { method: question.method.unwrap_or("GET"), path: &path, ..base })
            }
            (Err(fault), _) => (None, refused(fault), fault.as_str().to_owned()),
        },
    };
    let report = |flow: &Flow| FlowReport {
        id: flow.id.to_string(),
        from: flow.from.to_string(),
        allow: flow.via.allow.as_ref().map(|entries| entries.iter().map(|entry| entry.text.clone()).collect()),
        port: flow.via.port,
        standby: flow.standby,
    };
    let (flows, other_flows): (Vec<_>, Vec<_>) =
        model.flows_to(question.to).partition(|flow| flow.from.as_str() == question.from);
    Ok(Answer {
        from: question.from.to_owned(),
        to: question.to.to_owned(),
        allowed: explanation.as_ref().is_some_and(|explanation| explanation.allowed),
        reason,
        words,
        explanation,
        flows: flows.into_iter().map(report).collect(),
        other_flows: other_flows.into_iter().map(report).collect(),
    })
}

fn explained(rules: &RuleSet, request: &Request) -> (Option<Explanation>, String, String) {
    let explanation = rules.explain(request);
    let (words, reason) = (explanation.text(), explanation.reason.to_string());
    (Some(explanation), words, reason)
}

/// The claims that the called node counts: those of a token that one of its issuers made for it. Where no issuer is known
/// no token is looked at.
fn counted(model: &Model, question: &Question) -> Result<Result<Option<Value>, TokenFault>, AskError> {
    let Some(claims) = question.claims else { return Ok(Ok(None)) };
    if authentications_for(model, question.to).is_empty() {
        return Ok(Ok(None));
    }
    let rules = token_rules_for(model, question.to)
        .map_err(|faults| AskError::Policies { node: question.to.to_owned(), faults })?;
    Ok(rules.admit(claims).map(Some))
}

fn unproven(fault: TokenFault) -> String {
    format!("the request is refused with 401 before any policy: {fault}")
}

fn refused(fault: PathFault) -> String {
    format!("the request is refused with 400 before any policy: {fault}")
}

fn node<'m>(model: &'m Model, name: &str) -> Result<&'m Node, AskError> {
    model.nodes.get(name).ok_or_else(|| AskError::UnknownNode {
        name: name.to_owned(),
        near: model::closest(name, model.nodes.keys().map(|name| name.as_str())).map(str::to_owned),
        known: model.nodes.keys().map(ToString::to_string).collect(),
    })
}

/// Served ports first, then listeners: a gateway has only these, and they speak HTTP.
fn port_of(target: &Node, question: &Question) -> Result<(u16, Protocol), AskError> {
    let served = target.serves.iter().map(|serve| (serve.port, serve.protocol.is_http()));
    let mut ports = served.chain(target.listen.iter().map(|listen| (listen.port, true)));
    let found = match question.port {
        Some(port) => ports.find(|(served, _)| *served == port).ok_or_else(|| AskError::UnknownPort {
            node: question.to.to_owned(),
            port,
            served: served_words(target),
        })?,
        None => ports.next().ok_or_else(|| AskError::NoPort { node: question.to.to_owned() })?,
    };
    Ok((found.0, if found.1 { Protocol::Http } else { Protocol::Tcp }))
}

fn served_words(target: &Node) -> Vec<String> {
    let serves = target.serves.iter().map(|serve| format!("{} ({})", serve.port, serve.protocol.as_str()));
    serves.chain(target.listen.iter().map(|listen| format!("{} (listener)", listen.port))).collect()
}

fn headers_of(pairs: &[(String, String)]) -> Result<HeaderMap, AskError> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => return Err(AskError::Header { name: name.clone(), value: value.clone() }),
        }
    }
    Ok(headers)
}

/// What became of one of the model's own tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial<'m> {
    /// The test as written.
    pub test: &'m PolicyTest,
    /// What was answered.
    pub answer: Result<Answer, AskError>,
}

impl Trial<'_> {
    /// Whether the answer is the expected one. A question without an answer is a failure.
    pub fn passed(&self) -> bool {
        matches!(&self.answer, Ok(answer) if answer.allowed == self.test.expect_allow)
    }
}

/// Asks every question of the model's `tests:`, in the order written.
pub fn run_tests(model: &Model) -> Vec<Trial<'_>> {
    model
        .tests
        .iter()
        .map(|test| {
            let (method, path) = test.request.as_ref().map(|(method, path)| (method.as_str(), path.as_str())).unzip();
            let question = Question {
                from: test.from.as_str(),
                to: test.to.as_str(),
                method,
                path,
                host: None,
                port: test.port,
                headers: &test.headers,
                claims: test.jwt.as_ref(),
                ..Question::default()
            };
            Trial { test, answer: ask(model, &question) }
        })
        .collect()
}

#[cfg(test)]
mod tests;
