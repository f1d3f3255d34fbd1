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

/// Errors of one kind as one text: the first line, with a mark for each word that has a digit in it, cut where people have
/// read enough.
pub(crate) fn normalised(error: &str) -> String {
    const LONGEST: usize = 200;
    let line = error.lines().next().unwrap_or_default();
    let mut text = String::new();
    for piece in line.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        let word = piece.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let word_end = word.len();
        text.push_str(if word.contains(|letter: char| letter.is_ascii_digit()) { "#" } else { word });
        text.push_str(&piece[word_end..]);
        if text.len() > LONGEST {
            break;
        }
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text.replace('\0', "\u{FFFD}")
}

/// The text without what `jsonb` cannot hold, and no longer than 8 KiB.
pub(crate) fn keepable(text: &str) -> String {
    let kept = cut(text, LONGEST);
    let whole = kept.len() == text.len();
    let kept = kept.replace('\0', "\u{FFFD}");
    if whole { kept } else { kept + "…" }
}

/// The beginning of a text, so many bytes of it at most, and no half character.
pub(crate) fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_in_numbers_and_ids_are_one() {
        let one = normalised("user 7f3a-12: timeout after 30s (at src/a.rs:12:5)\nmore");

        assert_eq!(one, "user #-#: timeout after # (at src/a.rs:#:#)");
        assert_eq!(one, normalised("user 0-1: timeout after 4s (at src/a.rs:1:2)"));
        assert_eq!(normalised(&"é".repeat(1_000)).chars().count(), 201);
        assert_eq!(normalised(""), "");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_loses_its_nul() {
        let long = "ü".repeat(LONGEST);

        assert!(keepable(&long).ends_with("ü…"));
        assert_eq!(keepable("a\0b"), "a\u{FFFD}b");
    }
}
