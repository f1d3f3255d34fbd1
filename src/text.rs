//! Errors as text that PostgreSQL can keep and people can read.

use std::{
    error::Error,
    fmt::{self, Write},
};

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

/// The same in one text.
pub(crate) fn line(error: &dyn Error) -> String {
    chain(error).join(": ")
}

/// An error and its causes as the log has them.
pub(crate) struct Cause<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(&chain(self.0)).fmt(f)
    }
}

/// A chain of errors as the log has it: of each the first line, for what PostgreSQL says in the others may quote a row.
pub(crate) struct OneLine<'a>(pub(crate) &'a [String]);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, text) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(": ")?;
            }
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Printable(first).fmt(f)?;
        }
        Ok(())
    }
}

/// A text that cannot pass for another line of the log, nor move a terminal's cursor.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            letter if letter.is_control() => write!(f, "{}", letter.escape_default()),
            letter => f.write_char(letter),
        })
    }
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
    fn the_log_has_the_first_line_of_each_error_and_no_row_that_the_server_quotes() {
        let chain = ["db error", "ERROR: no\u{1b}pe\nDETAIL: Failing row contains (7, secret).", "\n\nlast\r\n"];

        assert_eq!(OneLine(&chain.map(str::to_owned)).to_string(), "db error: ERROR: no\\u{1b}pe: last");
        assert_eq!(OneLine(&[]).to_string(), "");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_loses_its_nul() {
        let long = "ü".repeat(LONGEST);

        assert!(keepable(&long).ends_with("ü…"));
        assert_eq!(keepable("a\0b"), "a\u{FFFD}b");
    }
}
