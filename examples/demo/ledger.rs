//! What the tour has come to, line by line, and whether it is what the queue promises.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::atomic::Ordering,
};

use crate::{
    Failure,
    crowd::{self, Answers},
    setup::Setup,
    status::Status,
};

/// Figures and what they should be.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Line>);

#[derive(Debug)]
struct Line {
    what: String,
    figure: i64,
    agrees: bool,
    wanted: String,
}

impl Ledger {
    /// Draws up the ledger from the answers, the tables and the files.
    pub(crate) async fn draw_up(setup: &Setup, answers: &Answers, crowd: usize) -> Result<Self, Failure> {
        let pool = setup.pool().await?;
        let status = Status::read(&pool, &setup.schema).await?;
        let connection = pool.get().await.map_err(Failure::because("get a connection"))?;
        let schema = &setup.schema;
        let users = format!("SELECT email FROM {schema}.users");
        let users = connection.query_typed(&users, &[]).await.map_err(Failure::because("read the users"))?;
        let users: BTreeSet<String> = users.iter().map(|row| row.get(0)).collect();
        let counts = format!(
            "SELECT (SELECT coalesce(sum(counted), 0)::bigint FROM {schema}.mails),
                    (SELECT count(*) FROM {schema}.mails WHERE counted > 1),
                    (SELECT count(*) FROM {schema}.users AS users
                      WHERE NOT EXISTS (SELECT FROM {schema}.mails AS mails WHERE mails.user_id = users.id)),
                    (SELECT count(*) FROM {schema}.mails AS mails
                      WHERE NOT EXISTS (SELECT FROM {schema}.users AS users WHERE users.id = mails.user_id))"
        );
        let counts = connection.query_typed_one(&counts, &[]).await.map_err(Failure::because("count the mails"))?;
        let files = files_by_address(&setup.mails)?;
        let refused: BTreeSet<String> =
            (0..crowd).filter(|number| crowd::is_rolled_back(*number)).map(crowd::email).collect();

        let accepted = number(answers.accepted.load(Ordering::Relaxed));
        let mut ledger = Ledger::default();
        ledger.line("sign-ups answered with success", accepted, number(crowd - refused.len()));
        ledger.line(
            "sign-ups rolled back on purpose",
            number(answers.rolled_back.load(Ordering::Relaxed)),
            number(refused.len()),
        );
        ledger.line("sign-ups answered otherwise", number(answers.other.load(Ordering::Relaxed)), 0);
        ledger.line("users", number(users.len()), accepted);
        ledger.line("mails counted", counts.get(0), accepted);
        ledger.at_least(".eml files", number(files.values().sum()), accepted);
        ledger.line(
            "users with an .eml file",
            number(users.iter().filter(|user| files.contains_key(*user)).count()),
            accepted,
        );
        ledger.line("jobs left", status.left(), 0);
        ledger.line("lost: users without a mail", counts.get(2), 0);
        ledger.line("counted twice", counts.get(1), 0);
        ledger.line("rolled back, and yet a user", number(refused.intersection(&users).count()), 0);
        ledger.line("rolled back, and yet a mail counted", counts.get(3), 0);
        ledger.line(
            "rolled back, and yet an .eml file",
            number(files.keys().filter(|address| refused.contains(*address)).count()),
            0,
        );
        Ok(ledger)
    }

    /// Whether every line is as it should be.
    pub(crate) fn agrees(&self) -> bool {
        self.0.iter().all(|line| line.agrees)
    }

    fn line(&mut self, what: &str, figure: i64, wanted: i64) {
        self.0.push(Line { what: what.to_owned(), figure, agrees: figure == wanted, wanted: wanted.to_string() });
    }

    fn at_least(&mut self, what: &str, figure: i64, wanted: i64) {
        self.0.push(Line {
            what: what.to_owned(),
            figure,
            agrees: figure >= wanted,
            wanted: format!("{wanted} or more: what is not yet committed is done again"),
        });
    }
}

impl std::fmt::Display for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Line { what, figure, agrees, wanted } in &self.0 {
            let mark = if *agrees { "ok" } else { "WRONG" };
            writeln!(f, "  {what:<38}{figure:>6}   {mark:<5}  (should be {wanted})")?;
        }
        Ok(())
    }
}

/// How many files there are for each address; a file that was cut short by a kill is nobody's.
fn files_by_address(folder: &Path) -> Result<BTreeMap<String, usize>, Failure> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Failure::because("read the folder of mails"))? {
        let path = entry.map_err(Failure::because("read the folder of mails"))?.path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(Failure::because("read a mail"))?;
        if let Some(address) = text.lines().find_map(|line| line.strip_prefix("To: ")) {
            *files.entry(address.trim().to_owned()).or_default() += 1;
        }
    }
    Ok(files)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
