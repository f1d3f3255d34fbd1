use crate::{
    job::ParamsKind,
    name::{QueueName, quote_literal},
};

/// The statements of one queue, its names filled in once.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) enqueue: String,
    pub(crate) requeue: String,
    pub(crate) claim: String,
    pub(crate) claim_onward: String,
    pub(crate) claim_index: String,
    pub(crate) start: String,
    pub(crate) started: String,
    pub(crate) unreserve: String,
    pub(crate) begin_completion: String,
    pub(crate) completion_outcome: String,
    pub(crate) complete: String,
    pub(crate) settle: String,
    pub(crate) sweep: String,
    pub(crate) beat: String,
    pub(crate) register_node: String,
    pub(crate) retire_node: String,
    pub(crate) versions: String,
    pub(crate) record_migration: String,
}

impl Statements {
    pub(crate) fn new(name: &QueueName, kind: ParamsKind) -> Self {
        let fill = |template: &str| fill(template, name, kind);
        Self {
            enqueue: fill(include_str!("../../sql/statements/enqueue.sql")),
            requeue: fill(include_str!("../../sql/statements/requeue.sql")),
            claim: fill(include_str!("../../sql/statements/claim.sql")),
            claim_onward: fill(include_str!("../../sql/statements/claim_onward.sql")),
            claim_index: fill(include_str!("../../sql/statements/claim_index.sql")),
            start: fill(include_str!("../../sql/statements/start.sql")),
            started: fill(include_str!("../../sql/statements/started.sql")),
            unreserve: fill(include_str!("../../sql/statements/unreserve.sql")),
            begin_completion: fill(include_str!("../../sql/statements/begin_completion.sql")),
            completion_outcome: fill(include_str!("../../sql/statements/completion_outcome.sql")),
            complete: fill(include_str!("../../sql/statements/complete.sql")),
            settle: fill(include_str!("../../sql/statements/settle.sql")),
            sweep: fill(include_str!("../../sql/statements/sweep.sql")),
            beat: fill(include_str!("../../sql/statements/beat.sql")),
            register_node: fill(include_str!("../../sql/statements/register_node.sql")),
            retire_node: fill(include_str!("../../sql/statements/retire_node.sql")),
            versions: fill(include_str!("../../sql/statements/versions.sql")),
            record_migration: fill(include_str!("../../sql/statements/record_migration.sql")),
        }
    }
}

pub(crate) const CHECK_COMPLETION: &str = include_str!("../../sql/statements/check_completion.sql");
pub(crate) const INSPECT: &str = include_str!("../../sql/statements/inspect.sql");

/// Fills a template's holes in one pass, so that a name which looks like a hole stays a name.
pub(crate) fn fill(template: &str, name: &QueueName, kind: ParamsKind) -> String {
    let hole = |hole: &str| match hole {
        "body" => Some(dollar_tag(name)),
        "schema" => Some(name.quoted_schema()),
        "table" => Some(name.quoted_table()),
        "table_literal" => Some(quote_literal(&name.quoted_table())),
        "queue_literal" => Some(quote_literal(name.table())),
        "channel_literal" => Some(quote_literal(&name.channel())),
        "completed_literal" => Some(quote_literal(&name.completed_channel())),
        "retry_literal" => Some(quote_literal(&name.retry_channel())),
        "failed_literal" => Some(quote_literal(&name.failed_channel())),
        "params_type" => Some(kind.column_type().to_owned()),
        "params_wire" => Some(kind.wire_type().to_owned()),
        "params_cast" => Some(kind.cast().to_owned()),
        "kind" => Some(kind.type_expression().to_owned()),
        _ => None,
    };
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        match from.find('}').and_then(|close| Some((hole(&from[1..close])?, close))) {
            Some((value, close)) => {
                filled.push_str(&value);
                rest = &from[close + 1..];
            }
            None => {
                filled.push('{');
                rest = &from[1..];
            }
        }
    }
    filled + rest
}

/// What quotes a function's body: no name inside may end it.
fn dollar_tag(name: &QueueName) -> String {
    let names = format!("{}{}", name.schema(), name.table());
    let tags = (0_u32..).map(|number| format!("$body_{number}$"));
    tags.into_iter().find(|tag| !names.contains(tag.as_str())).unwrap_or_default()
}

impl ParamsKind {
    pub(crate) fn column_type(self) -> &'static str {
        match self {
            ParamsKind::Json => "jsonb",
            ParamsKind::Binary => "bytea",
        }
    }

    fn wire_type(self) -> &'static str {
        match self {
            ParamsKind::Json => "text",
            ParamsKind::Binary => "bytea",
        }
    }

    fn cast(self) -> &'static str {
        match self {
            ParamsKind::Json => "::jsonb",
            ParamsKind::Binary => "",
        }
    }

    /// Where the database can tell a job's type, it does, before anybody reads the params.
    fn type_expression(self) -> &'static str {
        match self {
            ParamsKind::Json => "job.params ->> 'type'",
            ParamsKind::Binary => "NULL::text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_hole_stays_a_name() {
        let name = QueueName::new("{table}", "{schema}").unwrap();

        assert_eq!(fill("{table} {x} {", &name, ParamsKind::Json), r#""{table}"."{schema}" {x} {"#);
    }
}
