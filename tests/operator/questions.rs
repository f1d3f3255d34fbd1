//! What the program asks a person at a terminal, and what it does for which answer.

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

use crate::bench::{Bench, ONE_OF_EACH, PATIENCE};

/// The program in a shell at a terminal of its own.
pub(crate) struct Terminal(PtySession);

impl Terminal {
    pub(crate) async fn open(bench: &Bench, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#""$0" "$@"; echo "exit $?""#, env!("CARGO_BIN_EXE_job-queue")]).args(args);
        command.env_clear().env("DATABASE_URL", bench.db.url()).env("TERM", "xterm");
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        let opened = tokio::task::spawn_blocking(move || spawn_command(command, Some(patience)).unwrap());
        Self(opened.await.unwrap())
    }

    /// Waits until the text stands there.
    async fn shows(self, text: &'static str) -> Self {
        self.act(move |session| drop(session.exp_string(text).unwrap())).await
    }

    async fn answer(self, line: &'static str) -> Self {
        self.act(move |session| assert_eq!(session.send_line(line).unwrap(), line.len() + 1)).await
    }

    /// What else it says, with its exit code behind it.
    pub(crate) async fn end(self) -> String {
        let Self(mut session) = self;
        tokio::task::spawn_blocking(move || session.exp_eof().unwrap()).await.unwrap()
    }

    /// On another thread, for the connections of this test live on its own.
    pub(crate) async fn act(self, act: impl FnOnce(&mut PtySession) + Send + 'static) -> Self {
        let Self(mut session) = self;
        let acted = tokio::task::spawn_blocking(move || {
            act(&mut session);
            Self(session)
        });
        acted.await.unwrap()
    }
}

const COUNT: &str = "SELECT count(*) FROM jobs";

#[actix::test]
async fn a_bulk_action_asks_a_person_and_leaves_everything_unless_the_answer_is_yes() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;

    // No answer but the line's end is none either, and y is not what a word begins with.
    for answer in ["n", "", "no", "yesterday"] {
        let terminal = Terminal::open(&bench, &["delete", "--all"]).await;
        let asked = terminal.shows("Delete for good 6 jobs of queue jobs? [y/N] ").await;
        assert_eq!(bench.ask::<i64>(COUNT).await, 6, "it acts before it has asked");

        let said = asked.answer(answer).await.end().await;

        assert!(said.contains("nothing was done") && said.contains("exit 4"), "{answer:?}: {said}");
        assert_eq!(bench.ask::<i64>(COUNT).await, 6, "{answer:?}");
    }
}

#[actix::test]
async fn a_bulk_action_that_a_person_agrees_to_is_done_with_what_was_asked_about() {
    for answer in ["y", "YES"] {
        let bench = Bench::new().await;
        bench.sql(ONE_OF_EACH).await;
        let terminal = Terminal::open(&bench, &["delete", "--type", "A"]).await;
        let asked = terminal.shows("Delete for good 3 jobs of queue jobs? [y/N] ").await;
        // Whoever was asked about three jobs has not agreed to a fourth.
        bench.sql(r#"INSERT INTO jobs (params) VALUES ('{"type": "A"}')"#).await;

        let said = asked.answer(answer).await.end().await;

        assert!(said.contains("3 jobs are deleted") && said.contains("exit 0"), "{said}");
        let left: Vec<i64> = bench.ask("SELECT array_agg(id ORDER BY id) FROM jobs").await;
        assert_eq!(left, [2, 4, 6, 7]);
    }
}

#[actix::test]
async fn a_person_who_goes_away_has_agreed_to_nothing() {
    let bench = Bench::new().await;
    bench.sql(ONE_OF_EACH).await;
    let terminal = Terminal::open(&bench, &["cancel", "--all"]).await;
    let asked = terminal.shows("Cancel 5 jobs of queue jobs? [y/N] ").await;

    let said = asked.act(|session| session.send_control('d').unwrap()).await.end().await;

    assert!(said.contains("nothing was done") && said.contains("exit 4"), "{said}");
    assert_eq!(bench.ask::<i64>("SELECT count(*) FROM jobs WHERE state = 'FAILED'").await, 1);
}
