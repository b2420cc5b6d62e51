//! Under way.
use model::SourceFile;

use super::ImportError;
use crate::draft::Draft;

/// Whether a text is, or holds, a diagram that is read.
pub fn is_one(_text: &str) -> bool {
    false
}

/// Reads diagrams into a draft.
///
/// # Errors
/// A diagram cannot be taken.
pub fn read(_files: &[&SourceFile], _draft: &mut Draft) -> Result<(), ImportError> {
    Ok(())
}
