//! Payment cards: what a card must look like, and what may be shown of it.
use std::fmt;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// A primary account number. Invariant: 12 to 19 digits with a valid Luhn sum (ISO/IEC 7812-1). Shown as its last four
/// digits only; serialized in full, because orders hands it on to payments and to nobody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pan(String);

/// A card as a customer types it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    /// Its number; blanks and hyphens between digits are fine.
    pub(crate) number: Pan,
    /// `MM/YY`.
    pub(crate) expiry: String,
    /// Three or four digits; checked and forgotten (PCI DSS 3.3.1).
    pub(crate) cvc: Cvc,
}

/// A card's verification code: never shown.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Cvc(String);

/// The number is none. It does not say which.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a card number")]
pub(crate) struct NotAPan;

impl Pan {
    /// The last four digits, the most that may be stored in the clear (PCI DSS 3.4.1).
    pub(crate) fn last4(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }
}

impl TryFrom<String> for Pan {
    type Error = NotAPan;

    fn try_from(text: String) -> Result<Self, NotAPan> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let shaped = (12..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if shaped && luhn(&digits) { Ok(Self(digits)) } else { Err(NotAPan) }
    }
}

/// Whether the digits' Luhn sum is a multiple of ten: from the right, every second digit counts double, digit by digit.
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte.saturating_sub(b'0'));
            if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****{}", self.last4())
    }
}

impl fmt::Debug for Cvc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Card {
    /// Refuses an expiry that is not `MM/YY` and a code that is not three or four digits.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let expiry = self.expiry.split_once('/').is_some_and(|(month, year)| {
            month.len() == 2 && year.len() == 2 && digits(year) && (1..=12).contains(&month.parse().unwrap_or(0))
        });
        if !expiry {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "card.expiry must be MM/YY"));
        }
        if !((3..=4).contains(&self.cvc.0.len()) && digits(&self.cvc.0)) {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "card.cvc must be three or four digits"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
