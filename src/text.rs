//! Errors as text that PostgreSQL can keep and people can read.

use std::error::Error;

/// Longer texts are cut: an error is to be read by people.
const LONGEST: usize = 8 * 1024;

/// Deeper chains are cut: a cause that is its own cause has no end.
const DEEPEST: usize = 16;

/// The error's message and those of its causes, outermost first; together not much longer than one of them may be.
pub(crate) fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts = vec![keepable(&error.to_string())];
    let mut cause = error.source();
    let mut length = texts[0].len();
    while let Some(error) = cause.filter(|_| texts.len() < DEEPEST && length < LONGEST) {
        let text = keepable(&error.to_string());
        length += text.len();
        texts.push(text);
        cause = error.source();
    }
    texts
}

/// The same in one line, for a log.
pub(crate) fn line(error: &dyn Error) -> String {
    chain(error).join(": ")
}

/// The text without what `jsonb` cannot hold, and no longer than 8 KiB.
pub(crate) fn keepable(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text[..end].replace('\0', "\u{FFFD}");
    if end < text.len() { kept + "…" } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_loses_its_nul() {
        let long = "ü".repeat(LONGEST);

        assert!(keepable(&long).ends_with("ü…"));
        assert_eq!(keepable("a\0b"), "a\u{FFFD}b");
    }
}
