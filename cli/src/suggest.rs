//! "Did you mean": the known word that is nearest to a mistyped one.

/// Returns `; did you mean 'x'?` for the candidate that is near enough, or nothing.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    // A third of the letters may be wrong, two in short words.
    let limit = (word.len() / 3).max(2);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit && *distance < word.len())
        .min()
        .map_or_else(String::new, |(_, nearest)| {
            format!("; did you mean '{nearest}'?")
        })
}
