//! What others drew or deployed: any text becomes a model that is good, or is refused with a reason; the same each time.
use interop::import::{self, Format, ImportError};
use model::SourceFile;

/// Reads `data` as files, separated by NUL bytes; the first byte names the format, or none. Panics when a property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let format = Format::ALL.get(usize::from(*first).wrapping_sub(usize::from(b'0'))).copied();
    let files: Vec<SourceFile> = text
        .split('\0')
        .enumerate()
        .map(|(at, text)| SourceFile { name: format!("file-{at}"), text: text.to_owned() })
        .collect();
    match import::import(&files, format) {
        Ok(imported) => {
            let written = [SourceFile { name: "ward.yaml".to_owned(), text: imported.written.text.clone() }];
            assert!(model::load(&written).model.is_some(), "{}", imported.written.text);
            assert_eq!(import::import(&files, format).ok(), Some(imported));
        }
        Err(error) => {
            assert!(!matches!(error, ImportError::Refuses(_)), "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
}
