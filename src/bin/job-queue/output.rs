//! What people and programs get to see. Whatever stands in a job is text here, and nothing else: a control character
//! of it reaches no terminal.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
};

use actix_job_queue::{State, operate::Figure};
use chrono::{DateTime, Utc};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

/// The text with each control character, and what turns the direction of writing, as its number.
pub(crate) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => safe.push(letter),
            letter if is_hostile(letter) => safe.extend(letter.escape_unicode()),
            letter => safe.push(letter),
        }
    }
    safe
}

/// The same in one line, no longer than so many characters.
pub(crate) fn in_line(text: &str, longest: usize) -> String {
    let flat: String =
        text.chars().map(|letter| if matches!(letter, '\n' | '\t' | '\r') { ' ' } else { letter }).collect();
    let mut safe = shown(&flat);
    if let Some((end, _)) = safe.char_indices().nth(longest) {
        safe.truncate(end);
        safe.push('…');
    }
    safe
}

fn is_hostile(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// JSON in which such characters are escaped too, where JSON itself would let them stand.
pub(crate) fn json_text(value: &impl Serialize, pretty: bool) -> Result<String, serde_json::Error> {
    let text = if pretty { serde_json::to_string_pretty(value)? } else { serde_json::to_string(value)? };
    Ok(escaped(&text))
}

/// They can stand in strings only, so this leaves it what it means.
pub(crate) fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_hostile(letter) && letter != '\n' {
            safe.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            safe.push(letter);
        }
    }
    safe
}

/// Prints one JSON document.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print(&json_text(value, true)?)
}

/// Prints a line; a reader that has seen enough is no fault.
pub(crate) fn print(line: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other,
    }
}

/// Whether to colour what is written to standard output.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table as wide as the terminal at most, or as it needs where there is none.
pub(crate) fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    table
}

pub(crate) fn cell(text: &str, longest: usize) -> Cell {
    Cell::new(in_line(text, longest))
}

pub(crate) fn state_cell(state: State) -> Cell {
    let cell = Cell::new(state.as_str());
    if !colours() {
        return cell;
    }
    match state {
        State::Failed => cell.fg(Color::Red),
        State::Retry => cell.fg(Color::Yellow),
        State::InProgress | State::Reserved => cell.fg(Color::Green),
        State::Available => cell.fg(Color::Cyan),
        State::Scheduled => cell,
    }
}

pub(crate) fn print_table(table: &Table) -> io::Result<()> {
    for line in table.lines() {
        print(line.trim_end())?;
    }
    Ok(())
}

/// How long ago something was, or how long until it is, by the database's clock.
pub(crate) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if at <= now { format!("{} ago", length(now - at)) } else { format!("in {}", length(at - now)) }
}

pub(crate) fn length(span: chrono::TimeDelta) -> String {
    actix_job_queue::operate::span(span)
}

/// A number of jobs, with a word where it is an estimate.
pub(crate) struct About(pub(crate) Figure);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figure { jobs, exact } = self.0;
        if exact { f.write_str(&thousands(jobs)) } else { write!(f, "about {}", thousands(rounded(jobs))) }
    }
}

/// With two digits that mean something.
fn rounded(jobs: i64) -> i64 {
    let step = 10_i64.pow(jobs.unsigned_abs().checked_ilog10().unwrap_or(0).saturating_sub(1));
    (jobs + step / 2) / step * step
}

pub(crate) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_of_a_job_is_shown_as_it_is() {
        assert_eq!(shown("a\u{1b}[2Jb\u{9b}31m\u{202e}"), "a\\u{1b}[2Jb\\u{9b}31m\\u{202e}");
        assert_eq!(in_line("a\nb\r\tc", 3), "a b…");
        assert_eq!(escaped("\"\u{9b}\u{7f}\""), r#""\u009b\u007f""#);
    }

    #[test]
    fn an_estimate_has_two_digits() {
        let about = |jobs| About(Figure { jobs, exact: false }).to_string();

        assert_eq!(
            (about(7), about(1_234_567), about(995)),
            ("about 7".into(), "about 1,200,000".into(), "about 1,000".into())
        );
        assert_eq!(thousands(-1_234), "-1,234");
    }
}
