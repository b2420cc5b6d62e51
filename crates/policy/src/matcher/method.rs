//! Methods.
use super::{Reading, Text};

/// Methods: the common ones as bits.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    bits: u16,
    texts: Vec<Text>,
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

/// The bit of a common method; 0 for any other.
pub(super) fn method_bit(method: &str) -> u16 {
    METHODS.iter().position(|known| *known == method).map_or(0, |at| 1 << at)
}

impl Methods {
    /// Reads the values.
    pub(crate) fn parse(values: &[String]) -> Self {
        let mut methods = Self::default();
        for value in values {
            match method_bit(value) {
                0 => methods.texts.push(Text::parse(value)),
                bit => methods.bits |= bit,
            }
        }
        methods
    }

    /// The common ones among the values.
    pub(crate) fn known(&self) -> impl Iterator<Item = &'static str> {
        METHODS.into_iter().filter(|name| self.bits & method_bit(name) != 0)
    }

    /// The other values.
    pub(crate) fn texts(&self) -> &[Text] {
        &self.texts
    }

    pub(super) fn matches(&self, bit: u16, method: &str, reading: Reading) -> bool {
        if self.bits & bit != 0 {
            return true;
        }
        match reading {
            Reading::Certain => self.texts.iter().any(|text| text.matches(method)),
            // Methods are case-sensitive (RFC 9110 §9.1), but not every application knows.
            Reading::Possible => {
                self.texts.iter().any(|text| text.matches_ignoring_case(method))
                    || (bit == 0
                        && METHODS
                            .iter()
                            .any(|known| self.bits & method_bit(known) != 0 && known.eq_ignore_ascii_case(method)))
            }
        }
    }
}
