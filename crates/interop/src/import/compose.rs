//! Under way.
use super::{Document, ImportError};
use crate::draft::Draft;

/// Reads documents into a draft.
///
/// # Errors
/// A document cannot be taken.
pub fn read(_documents: &[Document<'_>], _draft: &mut Draft) -> Result<(), ImportError> {
    Ok(())
}
