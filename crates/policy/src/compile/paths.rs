//! The values of `paths`: what a request's normal form can be, and what none can be.
use super::Compiler;
use crate::{
    Semantics,
    matcher::{PathMatch, Reading, Template, TemplateFault, Text},
    path::{canonical_spelling, never_normal, normalize_path},
};

impl Compiler<'_> {
    pub(super) fn paths(&mut self, place: &str, values: &[String], reading: Reading) -> Box<[PathMatch]> {
        let mut paths = Vec::with_capacity(values.len());
        for (i, value) in values.iter().enumerate() {
            if let Some(path) = self.path(&format!("{place}[{i}]"), value, reading) {
                // Many applications serve `/admin/` as `/admin`.
                if reading == Reading::Possible && self.semantics == Semantics::Ward {
                    paths.extend(path.with_slash());
                }
                paths.push(path);
            }
        }
        paths.into()
    }

    fn path(&mut self, at: &str, value: &str, reading: Reading) -> Option<PathMatch> {
        let istio = self.semantics == Semantics::Istio;
        if value.contains("{*}") || value.contains("{**}") {
            let spelling = if istio { str::to_owned } else { canonical_spelling };
            let fault = match Template::parse(value, spelling) {
                Ok(template) if istio => return Some(PathMatch::Template(template.narrow())),
                Ok(template) => {
                    if let Some(why) = never_normal(value, false) {
                        self.warn(at, format!("`{value}` matches no request: {why}"), "write the normal form");
                    }
                    return Some(PathMatch::Template(template));
                }
                Err(TemplateFault::NotAbsolute) => "a template starts with /",
                Err(TemplateFault::Operator) => "`{*}` and `{**}` are whole segments, and there is no other wildcard",
                Err(TemplateFault::AfterRest) => "`{**}` must be the last wildcard",
            };
            self.error(at, format!("`{value}` is not a path template: {fault}"), "write /a/{*}/b or /a/{**}");
            return None;
        }
        if istio {
            // To the letter: what no request can have matches none.
            let text = Text::parse(value);
            if !matches!(text, Text::Suffix(_) | Text::Present) && !value.starts_with('/') {
                self.warn(at, format!("`{value}` matches no request: a path starts with /"), "put a / in front");
            }
            return Some(PathMatch::Text(text));
        }
        if value.contains(['{', '}']) {
            let message = format!("`{value}` names a variable, which Istio does not support");
            self.error(at, message, "write {*} for one segment or {**} for any");
            return None;
        }
        let text = Text::parse(value);
        if text == Text::Present {
            return Some(PathMatch::Text(text));
        }
        let spelled = text.map(canonical_spelling);
        let absolute = matches!(text, Text::Suffix(_)) || text.literal().starts_with('/');
        let odd = never_normal(spelled.literal(), matches!(spelled, Text::Exact(_)));
        if let (Some(_), Text::Exact(path), true, Reading::Possible) = (odd, &text, absolute, reading) {
            // What denies is read as the request is: DENY /admin%2Fx denies /admin/x.
            if !path.contains(['?', '#'])
                && let Ok(normal) = normalize_path(path)
            {
                return Some(PathMatch::Text(Text::Exact(normal.into())));
            }
        }
        if let Some(why) = odd {
            self.warn(at, format!("`{value}` matches no request: {why}"), "write the normal form");
        } else if !absolute {
            self.warn(at, format!("`{value}` matches no request: a path starts with /"), "put a / in front");
        } else if text.literal().contains('*') {
            self.warn(
                at,
                format!("in `{value}` only one `*` at an end is a wildcard, the other is a character"),
                "write {*} for one segment",
            );
        }
        Some(PathMatch::Text(spelled))
    }
}
