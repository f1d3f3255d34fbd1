use std::collections::HashSet;

use serde_json::Value;

use super::Redaction;
use crate::{job::MISFIT, name::QueueName};

/// What stands in place of what is hidden.
const HIDDEN: &str = "•••";

/// Hides what stands in params under keys of these names, at any depth; and where and why params did not fit their handler,
/// for that quotes them. Other errors are shown as they are.
///
/// ```
/// use actix_job_queue::{QueueName, operate::{RedactKeys, Redaction}};
/// use serde_json::json;
///
/// let keys = RedactKeys::new(["password"]);
/// let params = json!({ "user": "ada", "logins": [{ "Password": "hunter2" }] });
///
/// let shown = keys.params(&QueueName::new("public", "jobs")?, Some("Login"), params);
/// assert_eq!(shown, json!({ "user": "ada", "logins": [{ "Password": "•••" }] }));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RedactKeys {
    /// In lower case.
    names: HashSet<String>,
}

impl RedactKeys {
    /// Hides the values of keys of these names, whatever their case.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { names: names.into_iter().map(|name| name.as_ref().to_lowercase()).collect() }
    }

    fn hide(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if self.names.contains(&key.to_lowercase()) {
                        *value = HIDDEN.into();
                    } else {
                        self.hide(value);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            _ => {}
        }
    }
}

impl Redaction for RedactKeys {
    fn params(&self, _: &QueueName, _: Option<&str>, mut params: Value) -> Value {
        self.hide(&mut params);
        params
    }

    fn error(&self, _: &QueueName, _: Option<&str>, text: String) -> String {
        let quotes = text.strip_prefix(MISFIT).is_some_and(|rest| rest.starts_with(" at `"));
        if quotes { format!("{MISFIT}: {HIDDEN}") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::job::RawParams;
    use serde_json::json;

    #[test]
    fn values_under_a_key_are_hidden_whatever_they_are_and_however_deep() {
        let mut params = json!({
            "type": "Login", "token": { "a": [1] }, "password_hint": "x",
            "steps": [[{ "PASSWORD": null, "note": "password" }], "token"],
        });

        RedactKeys::new(["Password", "token"]).hide(&mut params);

        assert_eq!(
            params,
            json!({
                "type": "Login", "token": HIDDEN, "password_hint": "x",
                "steps": [[{ "PASSWORD": HIDDEN, "note": "password" }], "token"],
            })
        );
    }

    #[test]
    fn where_and_why_params_do_not_fit_is_hidden_and_other_errors_are_left() {
        let shown = |text: &str| {
            let queue = QueueName::new("public", "jobs").unwrap();
            RedactKeys::new(["token"]).error(&queue, None, text.to_owned())
        };
        let misfit = RawParams::Json(r#"{"token": {"tiger": "hunter2"}}"#.into());
        let misfit = misfit.read::<HashMap<String, HashMap<String, u8>>>().unwrap_err().to_string();
        assert!(misfit.contains("tiger") && misfit.contains("hunter2"), "{misfit}");

        assert_eq!(shown(&misfit), "params do not fit the handler's type: •••");
        for other in
            ["smtp said no to token", "params do not fit the handler's type; the job's errors say where and why"]
        {
            assert_eq!(shown(other), other);
        }
    }
}
