//! Tokens that were proven, so that a caller who shows the same one with every request costs a hash and not a signature.
//! Plain data, one to a worker. Never fails open: what is found is still compared with the clock and with the keys in
//! force, and only what was proven is ever put in.
use std::{collections::HashMap, mem, sync::Arc, time::SystemTime};

use model::TokenFault;
use serde_json::Value;

use super::{KeySet, Token, Validity};
use crate::join_token::sha256;

/// How much text of tokens one half of a cache stands for, in bytes. Claims take a few times their text, so that a worker
/// holds some 10 MiB at most, and commonly 1,000 callers in less than one.
pub const CACHE_BYTES_MAX: usize = 1 << 20;

/// How many key sets a token is remembered to be proven by.
const KEY_SETS_MAX: usize = 4;

/// The cache: what was used lately, and what was used before that. When the first half is full it becomes the second,
/// and the old second is forgotten.
#[derive(Debug, Default)]
pub struct TokenCache {
    recent: HashMap<[u8; 32], Proven>,
    recent_bytes: usize,
    older: HashMap<[u8; 32], Proven>,
}

#[derive(Clone, Debug)]
struct Proven {
    claims: Arc<Value>,
    validity: Validity,
    length: usize,
    /// Fingerprints of the key sets.
    by: Vec<[u8; 32]>,
}

impl TokenCache {
    /// How many tokens are held.
    pub fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds a token, and moves it to those used lately.
    fn find(&mut self, key: &[u8; 32]) -> Option<&mut Proven> {
        if let Some(found) = self.older.remove(key) {
            self.insert(*key, found);
        }
        self.recent.get_mut(key)
    }

    fn forget(&mut self, key: &[u8; 32]) {
        self.older.remove(key);
        if let Some(found) = self.recent.remove(key) {
            self.recent_bytes = self.recent_bytes.saturating_sub(found.length);
        }
    }

    fn insert(&mut self, key: [u8; 32], proven: Proven) {
        if self.recent_bytes + proven.length > CACHE_BYTES_MAX {
            self.older = mem::take(&mut self.recent);
            self.recent_bytes = 0;
        }
        self.recent_bytes += proven.length;
        if let Some(replaced) = self.recent.insert(key, proven) {
            self.recent_bytes = self.recent_bytes.saturating_sub(replaced.length);
        }
    }
}

/// Reads and proves the tokens of one request, at one time.
#[derive(Debug)]
pub struct Verifier<'a> {
    cache: &'a mut TokenCache,
    now: SystemTime,
}

impl<'a> Verifier<'a> {
    /// For one request.
    pub fn new(cache: &'a mut TokenCache, now: SystemTime) -> Self {
        Self { cache, now }
    }

    /// The claims of a token that is well-formed and valid now, unproven: good for finding out whose keys could prove it.
    ///
    /// # Errors
    /// What [`Token::parse`] and [`Token::at`] say.
    pub fn read(&mut self, token: &str) -> Result<Arc<Value>, TokenFault> {
        let key = sha256(token.as_bytes());
        let now = self.now;
        if let Some(found) = self.cache.find(&key) {
            let valid = found.validity.at(now).map(|()| found.claims.clone());
            if valid == Err(TokenFault::Expired) {
                self.cache.forget(&key);
            }
            return valid;
        }
        let parsed = Token::parse(token)?;
        parsed.at(now)?;
        Ok(parsed.claims)
    }

    /// Whether these keys prove the token, now.
    ///
    /// # Errors
    /// What [`KeySet::verify`] says.
    pub fn prove(&mut self, keys: &KeySet, token: &str) -> Result<(), TokenFault> {
        let key = sha256(token.as_bytes());
        let now = self.now;
        if let Some(found) = self.cache.find(&key)
            && found.by.contains(keys.fingerprint())
        {
            return found.validity.at(now);
        }
        let parsed = Token::parse(token)?;
        parsed.at(now)?;
        keys.prove(&parsed)?;
        match self.cache.find(&key) {
            Some(found) => {
                if found.by.len() >= KEY_SETS_MAX {
                    found.by.remove(0);
                }
                found.by.push(*keys.fingerprint());
            }
            None => {
                let by = vec![*keys.fingerprint()];
                let Token { claims, validity, .. } = parsed;
                self.cache.insert(key, Proven { claims, validity, length: token.len(), by });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
