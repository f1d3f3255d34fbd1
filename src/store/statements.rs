use crate::{
    job::ParamsKind,
    name::{QueueName, quote_literal},
};

/// The statements of one queue, its names filled in once.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) enqueue: String,
    pub(crate) enqueue_together: String,
    pub(crate) enqueue_one: String,
    pub(crate) enqueue_plain: String,
    pub(crate) requeue: String,
    pub(crate) claim: Claims,
    pub(crate) claim_onward: Claims,
    pub(crate) claim_start: Claims,
    pub(crate) claim_start_onward: Claims,
    pub(crate) claim_index: String,
    pub(crate) started: String,
    pub(crate) unreserve: String,
    pub(crate) begin_completion: String,
    pub(crate) begin_batch: String,
    pub(crate) completion_outcome: String,
    pub(crate) turn: String,
    pub(crate) exists: String,
    pub(crate) missed: String,
    pub(crate) settle: String,
    pub(crate) sweep: String,
    pub(crate) journal: String,
    pub(crate) roll_up: String,
    pub(crate) prune: String,
    pub(crate) beat: String,
    pub(crate) register_node: String,
    pub(crate) retire_node: String,
    pub(crate) versions: String,
    pub(crate) record_migration: String,
}

impl Statements {
    pub(crate) fn new(name: &QueueName, kind: ParamsKind, keeps: bool) -> Self {
        let fill = |template: &str| fill(template, name, kind);
        let adding = |template: &str| fill_more(template, name, kind, |hole| (hole == "adds").then(|| fill(ADDS)));
        let removal = |template: &str| fill_more(template, name, kind, |hole| kept(hole, name, kind, keeps));
        Self {
            enqueue: fill(ENQUEUE),
            enqueue_together: fill_more(
                include_str!("../../sql/statements/enqueue_together.sql"),
                name,
                kind,
                |hole| (hole == "enqueue").then(|| fill(ENQUEUE.trim_end())),
            ),
            enqueue_one: fill(include_str!("../../sql/statements/enqueue_one.sql")),
            enqueue_plain: fill(include_str!("../../sql/statements/enqueue_plain.sql")),
            requeue: fill(include_str!("../../sql/statements/requeue.sql")),
            claim: Claims::new(CLAIM, RESERVES, name, kind),
            claim_onward: Claims::new(CLAIM_ONWARD, RESERVES, name, kind),
            claim_start: Claims::new(CLAIM, STARTS, name, kind),
            claim_start_onward: Claims::new(CLAIM_ONWARD, STARTS, name, kind),
            claim_index: fill(include_str!("../../sql/statements/claim_index.sql")),
            started: fill(include_str!("../../sql/statements/started.sql")),
            unreserve: fill(include_str!("../../sql/statements/unreserve.sql")),
            begin_completion: removal(include_str!("../../sql/statements/begin_completion.sql")),
            begin_batch: fill_holes(include_str!("../../sql/statements/begin_batch.sql"), |hole| match hole {
                "remove_batch" => Some(remove_batch(name, kind, keeps, 0)),
                hole => of_queue(hole, name, kind),
            }),
            completion_outcome: fill(include_str!("../../sql/statements/completion_outcome.sql")),
            turn: removal(include_str!("../../sql/statements/turn.sql")),
            exists: fill(include_str!("../../sql/statements/exists.sql")),
            missed: fill(include_str!("../../sql/statements/missed.sql")),
            settle: fill(include_str!("../../sql/statements/settle.sql")),
            sweep: fill(include_str!("../../sql/statements/sweep.sql")),
            prune: fill(include_str!("../../sql/statements/prune.sql")),
            journal: adding(include_str!("../../sql/statements/journal.sql")),
            roll_up: adding(include_str!("../../sql/statements/roll_up.sql")),
            beat: fill(include_str!("../../sql/statements/beat.sql")),
            register_node: fill(include_str!("../../sql/statements/register_node.sql")),
            retire_node: fill(include_str!("../../sql/statements/retire_node.sql")),
            versions: fill(include_str!("../../sql/statements/versions.sql")),
            record_migration: fill(include_str!("../../sql/statements/record_migration.sql")),
        }
    }
}

/// SQLSTATEs by which the library's own statements refuse to go on; no standard class begins with J.
pub(crate) const LOST: &str = "JQ001";
pub(crate) const ENDED: &str = "JQ002";

pub(crate) const INSPECT: &str = include_str!("../../sql/statements/inspect.sql");

/// The check of an open completion and the commit that it guards, to be sent as one message: what fails the
/// one keeps the server from the other.
pub(crate) fn check_and_commit(name: &QueueName, xid: i64) -> String {
    let check = fill_holes(include_str!("../../sql/statements/check_completion.sql"), |hole| match hole {
        "xid" => Some(xid.to_string()),
        "schema" => Some(name.quoted_schema()),
        _ => None,
    });
    check + ";\nCOMMIT"
}

/// The removal of a job, or of those of a batch, together with a statement of the handler's, which has so many
/// parameters.
pub(crate) fn complete_with(
    name: &QueueName,
    kind: ParamsKind,
    keeps: bool,
    batch: bool,
    (written, parameters): (&str, usize),
) -> String {
    let template = match batch {
        false => include_str!("../../sql/statements/complete_with.sql"),
        true => include_str!("../../sql/statements/complete_batch_with.sql"),
    };
    fill_holes(template, |hole| match hole {
        "id" | "ids" => Some(format!("${}", parameters + 1)),
        "lease" => Some(format!("${}", parameters + 2)),
        "written" => Some(written.to_owned()),
        "remove_batch" => Some(remove_batch(name, kind, keeps, parameters)),
        hole => kept(hole, name, kind, keeps).or_else(|| of_queue(hole, name, kind)),
    })
}

/// The removal of a batch, whose ids and leases come after so many parameters.
fn remove_batch(name: &QueueName, kind: ParamsKind, keeps: bool, parameters: usize) -> String {
    fill_holes(include_str!("../../sql/statements/remove_batch.sql").trim_end(), |hole| match hole {
        "ids" => Some(format!("${}", parameters + 1)),
        "leases" => Some(format!("${}", parameters + 2)),
        hole => kept(hole, name, kind, keeps).or_else(|| of_queue(hole, name, kind)),
    })
}

/// The insert of many jobs.
const ENQUEUE: &str = include_str!("../../sql/statements/enqueue.sql");

/// How rows of the same minute and type become one.
const ADDS: &str = include_str!("../../sql/statements/activity_adds.sql");

/// How a claim picks jobs, and what it makes of them.
const CLAIM: &str = include_str!("../../sql/statements/claim.sql");
const CLAIM_ONWARD: &str = include_str!("../../sql/statements/claim_onward.sql");
const RESERVES: Taken = Taken {
    set: include_str!("../../sql/statements/claim_reserves.sql"),
    waited: "NULL::float8",
    lazily: include_str!("../../sql/statements/claim_lazily.sql"),
};
const STARTS: Taken = Taken { set: include_str!("../../sql/statements/claim_starts.sql"), waited: WAITED, lazily: "" };

/// How long a job has waited that starts in this statement.
const WAITED: &str = "date_part('epoch', now() - GREATEST(job.schedule, job.inserted_at))";

/// Whether a row's place is no other's.
const UNDIVIDED: &str = include_str!("../../sql/statements/undivided.sql");

/// The row of a wanted job that is performed under its lease.
const HELD: &str = include_str!("../../sql/statements/held.sql");

/// What a claim sets, how long its jobs have waited for their start, and whether its commit may be lost in a crash.
#[derive(Clone, Copy)]
struct Taken {
    set: &'static str,
    waited: &'static str,
    lazily: &'static str,
}

/// What a removal has beside it where its queue keeps completed jobs.
fn kept(hole: &str, name: &QueueName, kind: ParamsKind, keeps: bool) -> Option<String> {
    match hole {
        "kept" if keeps => Some(fill(include_str!("../../sql/statements/kept.sql"), name, kind).trim_end().to_owned()),
        "kept_columns" if keeps => Some(
            ", params, attempt, max_attempts, priority, schedule, inserted_at, updated_at, node, errors".to_owned(),
        ),
        _ => None,
    }
}

/// A claim in two forms, since a look at each job's type would cost the claims of all queues, and have the planner
/// misjudge how many jobs there are.
#[derive(Debug)]
pub(crate) struct Claims {
    /// Brings nothing where anything is paused, which is asked once and of no job, and says so.
    pub(crate) free: String,
    /// Brings what is not paused.
    pub(crate) careful: String,
}

/// Whether nothing is paused; the planner knows that it is the same for all rows.
const FREE: &str = "(SELECT kinds FROM pauses) IS NULL";

impl Claims {
    fn new(template: &str, taken: Taken, name: &QueueName, kind: ParamsKind) -> Self {
        let form = |open| claim(template, taken, name, kind, open);
        Self { free: form(FREE), careful: form(kind.open_expression()) }
    }
}

/// A claim: its own way to pick jobs, and the reservation or start of those that is the same for all.
fn claim(template: &str, taken: Taken, name: &QueueName, kind: ParamsKind, open: &str) -> String {
    let reservation = || {
        fill_holes(include_str!("../../sql/statements/reservation.sql").trim_end(), |hole| match hole {
            "taken" => Some(taken.set.to_owned()),
            "started_late" => Some(taken.waited.to_owned()),
            hole => of_queue(hole, name, kind),
        })
    };
    fill_holes(template, |hole| match hole {
        "reservation" => Some(reservation()),
        "pauses" => Some(fill(include_str!("../../sql/statements/pauses.sql").trim_end(), name, kind)),
        "open" => Some(open.to_owned()),
        "lazily" => Some(taken.lazily.trim_end().to_owned()),
        hole => of_queue(hole, name, kind),
    })
}

/// Fills a template with what a queue's name and kind say.
pub(crate) fn fill(template: &str, name: &QueueName, kind: ParamsKind) -> String {
    fill_holes(template, |hole| of_queue(hole, name, kind))
}

fn of_queue(hole: &str, name: &QueueName, kind: ParamsKind) -> Option<String> {
    match hole {
        "body" => Some(dollar_tag(name)),
        "schema" => Some(name.quoted_schema()),
        "table" => Some(name.quoted_table()),
        "table_literal" => Some(quote_literal(&name.quoted_table())),
        "queue_literal" => Some(quote_literal(name.table())),
        "channel_literal" => Some(quote_literal(&name.channel())),
        "completed_literal" => Some(quote_literal(&name.completed_channel())),
        "retry_literal" => Some(quote_literal(&name.retry_channel())),
        "failed_literal" => Some(quote_literal(&name.failed_channel())),
        "waited" => Some(WAITED.to_owned()),
        "undivided" => Some(fill(UNDIVIDED.trim_end(), name, kind)),
        "held" => Some(fill(HELD.trim_end(), name, kind)),
        "params_type" => Some(kind.column_type().to_owned()),
        "params_wire" => Some(kind.wire_type().to_owned()),
        "params_history" => Some(kind.history_column().to_owned()),
        "params_cast" => Some(kind.cast().to_owned()),
        "schema_literal" => Some(quote_literal(&name.quoted_schema())),
        "kept" | "kept_columns" => Some(String::new()),
        "kind" | "type" => Some(kind.type_expression().to_owned()),
        _ => None,
    }
}

/// Fills a template that has holes of its own beside the queue's.
pub(crate) fn fill_more(
    template: &str,
    name: &QueueName,
    kind: ParamsKind,
    more: impl Fn(&str) -> Option<String>,
) -> String {
    fill_holes(template, |hole| more(hole).or_else(|| of_queue(hole, name, kind)))
}

/// Fills a template's holes in one pass, so that what looks like a hole inside of a filling stays what it is.
fn fill_holes(template: &str, hole: impl Fn(&str) -> Option<String>) -> String {
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

    fn history_column(self) -> &'static str {
        match self {
            ParamsKind::Json => "params",
            ParamsKind::Binary => "binary_params",
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

    /// What is not paused: neither with the whole queue, which goes by the name of no type, nor with its type.
    fn open_expression(self) -> &'static str {
        match self {
            ParamsKind::Json => {
                "'' <> ALL (COALESCE((SELECT kinds FROM pauses), '{}'))
       AND COALESCE(job.params ->> 'type', '') <> ALL (COALESCE((SELECT kinds FROM pauses), '{}'))"
            }
            ParamsKind::Binary => "'' <> ALL (COALESCE((SELECT kinds FROM pauses), '{}'))",
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
