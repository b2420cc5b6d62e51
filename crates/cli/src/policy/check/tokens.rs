//! Tokens in requests that are decided offline: proven with the keys that the documents themselves hold, now.
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use identity::token::{KeySet, TokenCache, Verifier};
use model::KeySource;
use policy::{RuleIndex, TokenFault, TokenRules, TokenVerifier};
use serde_json::Value;

/// The keys of a gate's token rules.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By rule; `None` when there are none here.
    sets: Vec<Option<KeySet>>,
    cache: TokenCache,
}

impl Keys {
    /// Reads the keys that stand in the rules. What cannot be used is said, as every token for it will be refused.
    pub(super) fn of(rules: &TokenRules) -> (Self, Vec<String>) {
        let (mut sets, mut warnings) = (Vec::new(), Vec::new());
        for (_, rule) in rules.rules() {
            let at = format!("RequestAuthentication {}: jwtRules[{}]", rule.document, rule.index);
            sets.push(match &rule.keys {
                None => None,
                Some(KeySource::Address(address)) => {
                    warnings.push(format!(
                        "{at}: the keys at {address} are not fetched here, so that every token of this rule is refused \
                         ({}); write them into `jwks`",
                        TokenFault::NoKeys.as_str()
                    ));
                    None
                }
                Some(KeySource::Inline(jwks)) => match KeySet::parse(jwks) {
                    Ok(keys) => {
                        warnings.extend(keys.skipped().iter().map(|key| format!("{at}: {key}; it is left out")));
                        Some(keys)
                    }
                    Err(error) => {
                        let code = TokenFault::NoKeys.as_str();
                        warnings.push(format!("{at}: {error}; every token of this rule is refused ({code})"));
                        None
                    }
                },
            });
        }
        (Self { sets, cache: TokenCache::default() }, warnings)
    }

    /// Asks with them at a time, given since the epoch.
    pub(super) fn at(&mut self, now: Duration) -> Proof<'_> {
        Proof { sets: &self.sets, verifier: Verifier::new(&mut self.cache, SystemTime::UNIX_EPOCH + now) }
    }
}

/// Proves tokens at one time.
pub(super) struct Proof<'a> {
    sets: &'a [Option<KeySet>],
    verifier: Verifier<'a>,
}

impl TokenVerifier for Proof<'_> {
    fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault> {
        self.verifier.read(token)
    }

    fn prove(&mut self, rule: RuleIndex, token: &str) -> Result<(), TokenFault> {
        let keys = self.sets.get(rule.0).and_then(Option::as_ref).ok_or(TokenFault::NoKeys)?;
        self.verifier.prove(keys, token)
    }
}
