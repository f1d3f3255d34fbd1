//! The syntax of connection strings: where each parameter begins and ends.

use std::borrow::Cow;

use tokio_postgres::Config;

use super::UrlError;

/// A connection string, taken apart between its parameters.
pub(super) struct Pieces<'a> {
    /// What comes before the first parameter: a URL up to its `?`, nothing of a list of pairs.
    head: &'a str,
    pub(super) parameters: Vec<Parameter<'a>>,
}

pub(super) struct Parameter<'a> {
    /// As it was written.
    raw: &'a str,
    pub(super) key: Cow<'a, str>,
    /// Without its quotes or percents. What they stood for may be no UTF-8.
    pub(super) value: Cow<'a, [u8]>,
    pub(super) in_url: bool,
}

impl Parameter<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        str::from_utf8(&self.value).ok()
    }
}

impl<'a> Pieces<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, UrlError> {
        match ["postgres://", "postgresql://"].into_iter().find(|scheme| text.starts_with(scheme)) {
            Some(scheme) => Self::of_url(text, scheme.len()),
            None => Ok(Self { head: "", parameters: pairs(text)? }),
        }
    }

    fn of_url(text: &'a str, scheme: usize) -> Result<Self, UrlError> {
        let credentials = text[scheme..].find('@').map_or(0, |at| at + 1);
        let (before, after) = text.split_at(scheme + credentials);
        let (address, query) = after.split_once('?').unwrap_or((after, ""));
        // libpq ends the credentials at an @ before any slash, tokio-postgres at the first anywhere: where
        // they differ one would connect to the wrong host, or show a part of the password as its name.
        if before[scheme..].contains('/') || address.contains('@') {
            return Err(UrlError::Ambiguous);
        }
        let parameters = match query {
            "" => Vec::new(),
            // The driver forgives an & at the end, and nowhere else.
            _ => query.strip_suffix('&').unwrap_or(query).split('&').map(query_parameter).collect::<Result<_, _>>()?,
        };
        Ok(Self { head: &text[..before.len() + address.len()], parameters })
    }

    pub(super) fn config(&self, parameters: &[&Parameter<'a>]) -> Result<Config, UrlError> {
        joined(self.head, parameters).parse().map_err(|source| {
            // tokio-postgres names the parameter in prose only, so each is tried alone.
            // The @ keeps one in a value from being taken for the end of credentials.
            let head = if self.head.is_empty() { "" } else { "postgres://@" };
            let refused = |parameter: &&Parameter<'a>| joined(head, &[parameter]).parse::<Config>().is_err();
            match parameters.iter().position(refused) {
                None => UrlError::Address { source },
                Some(at) if is_surely_a_name(parameters, at) => {
                    UrlError::Parameter { key: parameters[at].key.to_string(), source }
                }
                Some(_) => UrlError::NoParameter,
            }
        })
    }
}

fn joined(head: &str, parameters: &[&Parameter<'_>]) -> String {
    let raw: Vec<_> = parameters.iter().map(|parameter| parameter.raw).collect();
    match head {
        "" => raw.join(" "),
        url => format!("{url}?{}", raw.join("&")),
    }
}

/// Whether a key can be shown: one that was torn from a password which should have been quoted cannot.
fn is_surely_a_name(parameters: &[&Parameter<'_>], at: usize) -> bool {
    let is_word = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let follows_password = at > 0 && parameters[at - 1].key == "password";
    is_word(&parameters[at].key) && !follows_password && !parameters[at].value.contains(&b'@')
}

fn query_parameter(raw: &str) -> Result<Parameter<'_>, UrlError> {
    let (key, value) = raw.split_once('=').ok_or(UrlError::Syntax)?;
    let decode = |text| percent_encoding::percent_decode_str(text);
    Ok(Parameter { raw, key: decode(key).decode_utf8_lossy(), value: decode(value).into(), in_url: true })
}

fn pairs(text: &str) -> Result<Vec<Parameter<'_>>, UrlError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let begin = rest;
        let end_of_key = begin.find(|c: char| c == '=' || c.is_whitespace()).ok_or(UrlError::Syntax)?;
        let (key, after) = begin.split_at(end_of_key);
        if key.is_empty() || key.contains("://") {
            return Err(UrlError::Syntax);
        }
        let written = after.trim_start().strip_prefix('=').ok_or(UrlError::Syntax)?.trim_start();
        let (value, length) = unquoted(written).ok_or(UrlError::Syntax)?;
        let after = &written[length..];
        found.push(Parameter {
            raw: &begin[..begin.len() - after.len()],
            key: key.into(),
            value: value.into_bytes().into(),
            in_url: false,
        });
        rest = after.trim_start();
    }
    Ok(found)
}

/// A value at the begin of a text, and how many bytes it takes there; nothing if it does not end.
fn unquoted(written: &str) -> Option<(String, usize)> {
    let quoted = written.starts_with('\'');
    let mut value = String::new();
    let mut chars = written.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if quoted => return Some((value, at + 1)),
            c if c.is_whitespace() && !quoted => return Some((value, at)),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (!quoted && !value.is_empty()).then_some((value, written.len()))
}
