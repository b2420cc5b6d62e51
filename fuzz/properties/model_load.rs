//! A model directory: any text is read to a model or to diagnostics that point into it, the same each time.
use model::{SourceFile, load};

/// Reads `data` as the files of a model directory, separated by NUL bytes, `ward.yaml` first; panics when a property
/// does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let name = |index| if index == 0 { "ward.yaml".to_owned() } else { format!("{index}.yaml") };
    let files: Vec<SourceFile> = text
        .split('\0')
        .enumerate()
        .map(|(index, text)| SourceFile { name: name(index), text: text.to_owned() })
        .collect();

    let loaded = load(&files);
    assert_eq!(loaded.model.is_some(), loaded.errors() == 0, "a model exactly when there is no error");
    for diagnostic in &loaded.diagnostics {
        let Some(file) = files.iter().find(|file| file.name == diagnostic.file) else {
            panic!("{diagnostic:?} is in no file")
        };
        assert!(file.text.get(diagnostic.start..diagnostic.end).is_some(), "{diagnostic:?} is not in {:?}", file.text);
        let line = file.text[..diagnostic.start].matches('\n').count() + 1;
        assert_eq!(diagnostic.line, line, "{diagnostic:?} is on another line of {:?}", file.text);
        assert!(!diagnostic.message.is_empty() && !diagnostic.code.is_empty(), "{diagnostic:?}");
    }
    let again = load(&files);
    assert_eq!((again.model, again.diagnostics), (loaded.model, loaded.diagnostics));
}
