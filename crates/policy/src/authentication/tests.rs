//! Scopes and issuers.
