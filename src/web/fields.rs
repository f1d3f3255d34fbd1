use serde::Deserialize;

/// What a form or a link says: names and values, each name as often as it likes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The first value of that name that is not empty.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of that name that are not empty.
    pub(crate) fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, value)| known == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// Those of these names only.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let known = |(name, value): &&(String, String)| names.contains(&name.as_str()) && !value.is_empty();
        Self(self.0.iter().filter(known).cloned().collect())
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// As the end of a link.
    pub(crate) fn query(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        // Pairs of texts can always be written.
        format!("?{}", serde_urlencoded::to_string(&self.0).unwrap_or_default())
    }
}
