//! A join token: the right to become one node, and the hash of the root by which the joiner knows whom it talks to.
use std::{fmt, str::FromStr};

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::id::Name;
use zeroize::Zeroize;

const PREFIX: &str = "ward1";
const ID_LENGTH_MAX: usize = 64;

/// `ward1.<node>.<id>.<secret, base64url>.<SHA-256 of the root's DER, hex>`. `Display` writes the whole token, secret
/// included, because that is how it is handed over; `Debug` leaves the secret out. Zeroed on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The node whose identity the bearer gets.
    pub node: Name,
    /// Names the token to the control plane: 1 to 64 of `[a-z0-9]`.
    pub id: String,
    /// 32 random bytes. The control plane keeps only their hash.
    pub secret: [u8; 32],
    /// SHA-256 of the root certificate's DER.
    pub root_sha256: [u8; 32],
}

/// Why a text is not a join token. Never repeats the text: it may be most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// Not five parts after each other.
    #[error("a join token has 5 parts separated by dots, `ward1.<node>.<id>.<secret>.<root>`; this has {0}")]
    Parts(usize),
    /// Another format or version.
    #[error("a join token starts with `ward1.`")]
    Prefix,
    /// Part 2.
    #[error("the node of the join token is not a name")]
    Node,
    /// Part 3.
    #[error("the id of the join token is not 1 to 64 of a-z and 0-9")]
    Id,
    /// Part 4.
    #[error("the secret of the join token is not 32 bytes of base64url; was it cut off?")]
    Secret,
    /// Part 5.
    #[error("the root hash of the join token is not 64 hexadecimal digits; was it cut off?")]
    Root,
    /// The random generator failed.
    #[error("no random bytes")]
    Random,
}

impl JoinToken {
    /// A fresh token for `node`: random id and secret.
    pub fn generate(node: Name, root_sha256: [u8; 32]) -> Result<Self, JoinTokenError> {
        let mut id = [0; 8];
        let mut secret = [0; 32];
        rand::fill(&mut id).map_err(|_| JoinTokenError::Random)?;
        rand::fill(&mut secret).map_err(|_| JoinTokenError::Random)?;
        Ok(Self { node, id: hex(&id), secret, root_sha256 })
    }

    /// What the control plane keeps and compares instead of the secret.
    pub fn secret_sha256(&self) -> [u8; 32] {
        sha256(&self.secret)
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [prefix, node, id, secret, root] = parts.as_slice() else {
            return Err(JoinTokenError::Parts(parts.len()));
        };
        if *prefix != PREFIX {
            return Err(JoinTokenError::Prefix);
        }
        if !(1..=ID_LENGTH_MAX).contains(&id.len()) || !id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        {
            return Err(JoinTokenError::Id);
        }
        let mut decoded = URL_SAFE_NO_PAD.decode(secret).map_err(|_| JoinTokenError::Secret)?;
        let fixed = <[u8; 32]>::try_from(decoded.as_slice());
        decoded.zeroize();
        Ok(Self {
            node: node.parse().map_err(|_| JoinTokenError::Node)?,
            id: (*id).to_owned(),
            secret: fixed.map_err(|_| JoinTokenError::Secret)?,
            root_sha256: unhex(root).ok_or(JoinTokenError::Root)?,
        })
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        write!(f, "{PREFIX}.{}.{}.{secret}.{}", self.node, self.id, hex(&self.root_sha256))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("node", &self.node).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for JoinToken {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut out = [0; 32];
    for (byte, digits) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        if digits.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests;
