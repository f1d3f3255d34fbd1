use std::io::{self, BufRead, IsTerminal, Write};

use crate::{failure::Failure, output::shown};

/// Asks whether to go on.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Unconfirmed(format!("{question} There is nobody to ask here: give --yes if so")));
    }
    let mut told = io::stderr();
    write!(told, "{} [y/N] ", shown(question))?;
    told.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Unconfirmed("nothing was done".to_owned())),
    }
}
