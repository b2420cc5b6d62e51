//! Why a bearer token does not count: one closed set of words for the engine that proves tokens, the one that asks for
//! them, and whoever reports about both.

/// Why a JSON Web Token is refused. It never repeats anything of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenFault {
    /// Longer than is read, or more of them than are read.
    #[error("the token is longer than is read")]
    TooLong,
    /// Not three parts of base64url with one JSON object each and a signature; or a registered claim of another type than
    /// RFC 7519 §4.1 gives it.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// A JWE, or a token within a token: nobody can look inside (RFC 7516).
    #[error("the token is encrypted, compressed or wraps another one")]
    Encrypted,
    /// `alg` is `none`, a shared secret, or unknown (RFC 8725 §3.1).
    #[error("the token is not signed by an accepted algorithm")]
    Algorithm,
    /// `crit`, or `b64`: the token asks for an extension, and there is none (RFC 7515 §4.1.11).
    #[error("the token asks for an extension that is not understood")]
    Critical,
    /// `typ` says that it is for something else (RFC 8725 §3.11).
    #[error("the token is of a kind that grants nothing")]
    Type,
    /// The keys of the issuer are not known: never fetched, given up, or unusable.
    #[error("there are no keys to check the token with")]
    NoKeys,
    /// No key has the token's `kid` and fits its `alg`.
    #[error("no key of the issuer fits the token's `kid` and `alg`")]
    UnknownKey,
    /// A key fits, and the signature is not by it.
    #[error("the signature is not the issuer's")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// No rule for the place where it stands accepts its `iss`.
    #[error("no rule accepts tokens of this issuer")]
    Issuer,
    /// The issuer is known, and the token is for somebody else.
    #[error("the token is for another audience")]
    Audience,
}

impl TokenFault {
    /// One of each kind, in the order in which a token is checked.
    pub const ALL: &[Self] = &[
        Self::TooLong,
        Self::Malformed(""),
        Self::Encrypted,
        Self::Algorithm,
        Self::Critical,
        Self::Type,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::NoKeys,
        Self::UnknownKey,
        Self::Signature,
    ];

    /// The code: what records, metrics and JSON carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "jwt-too-long",
            Self::Malformed(_) => "jwt-malformed",
            Self::Encrypted => "jwt-encrypted",
            Self::Algorithm => "jwt-algorithm",
            Self::Critical => "jwt-critical",
            Self::Type => "jwt-type",
            Self::NoKeys => "jwt-no-keys",
            Self::UnknownKey => "jwt-unknown-key",
            Self::Signature => "jwt-signature",
            Self::Expired => "jwt-expired",
            Self::NotYetValid => "jwt-not-yet-valid",
            Self::Issuer => "jwt-issuer",
            Self::Audience => "jwt-audience",
        }
    }
}
