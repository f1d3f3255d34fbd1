//! The filters of `list`, as links and forms spell them: the same words as the command line's options.

use std::{fmt::Display, str::FromStr};

use super::{fields::Fields, trouble::Trouble};
use crate::{
    job::State,
    operate::{Filter, parse_span},
};

/// What belongs to a filter.
pub(crate) const NAMES: [&str; 7] = ["state", "type", "error", "params", "older", "younger", "node"];

/// The filter that they describe.
pub(crate) fn filter(fields: &Fields) -> Result<Filter, Trouble> {
    let span = |name| fields.one(name).map(parse_span).transpose().map_err(Trouble::Unusable);
    let text = |name| fields.one(name).map(str::to_owned);
    Ok(Filter {
        states: states(fields)?,
        kind: text("type"),
        error: text("error"),
        params: text("params"),
        older: span("older")?,
        younger: span("younger")?,
        node: number(fields, "node")?,
        ids: None,
    })
}

pub(crate) fn number<T: FromStr<Err: Display>>(fields: &Fields, name: &str) -> Result<Option<T>, Trouble> {
    let wrong = |text: &str, error: T::Err| Trouble::Unusable(format!("{name}={text:?} cannot be used: {error}."));
    fields.one(name).map(|text| text.parse().map_err(|error| wrong(text, error))).transpose()
}

fn states(fields: &Fields) -> Result<Vec<State>, Trouble> {
    let words = fields.each("state").flat_map(|list| list.split(','));
    let state = |word: &str| word.to_ascii_uppercase().replace('-', "_").parse::<State>();
    words.map(state).collect::<Result<_, _>>().map_err(|error| Trouble::Unusable(error.to_string()))
}
