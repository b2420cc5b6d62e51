//! The closest valid word to a wrong one, for "did you mean".

/// The candidate most like `word`, when one is near enough that a slip of the finger explains it.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Numbers are near each other without meaning each other. Long words would make the comparison quadratic in what somebody else wrote.
    if !word.contains(char::is_alphabetic) || word.len() > 128 {
        return None;
    }
    let lower = word.to_lowercase();
    let plain = |s: &str| s.to_lowercase().replace('-', "_");
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let score = if plain(candidate) == plain(word) {
            2.0
        } else {
            let folded = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &folded);
            let length = folded.chars().count().max(lower.chars().count());
            let allowed = if length > 1 { length.div_ceil(3) } else { 0 };
            let prefix =
                lower.len() >= 3 && folded.len() >= 3 && (folded.starts_with(&lower) || lower.starts_with(&folded));
            if distance > allowed && !prefix {
                continue;
            }
            strsim::jaro_winkler(&lower, &folded)
        };
        if best.is_none_or(|(s, _)| score > s) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
