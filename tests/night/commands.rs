//! The questions by command line.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use crate::{Jobs, PROGRAM};

/// So many lines of an answer are told.
const LINES: usize = 14;

pub(crate) fn ask(url: &str, jobs: &Jobs) {
    println!("\n## By command line");
    let Jobs { failed, waits, running } = jobs;
    let export = std::env::temp_dir().join(format!("night-{}.jsonl", std::process::id()));
    let export = export.display();
    for (question, command) in [
        ("Which queues are there?", "queues".to_owned()),
        ("What is stuck, and since when? Why did jobs fail in the last hour?", "stats".into()),
        ("The same of the whole day?", "stats --over 1d".into()),
        ("Is it well, for the alarm?", "health".into()),
        ("Does it lack anything?", "doctor".into()),
        ("Who works, on what, since when?", "processes".into()),
        ("What failed last, and what did it say?", "list --state failed -n 3".into()),
        ("What failed for this reason?", "list --state failed --type SendEmail --error 'smtp: 451' -n 3".into()),
        ("Does anything say this?", "list --state failed --error 'certificate expired' -n 3".into()),
        ("What has waited longest?", "list --state available --older 29d -n 3".into()),
        ("Where is this customer's?", "list --params '$.to == \"user77@example.com\"' -n 3".into()),
        ("What of the rare type?", "list --type CloseAccount -n 3".into()),
        ("All about one that failed?", format!("show {failed}")),
        ("Why does this one not run?", format!("show {waits}")),
        ("Who has this one?", format!("show {running}")),
        ("Run that one again.", format!("retry {failed} --yes")),
        ("Run that one now.", format!("run-now {waits} --yes")),
        ("Stop the one that runs.", format!("cancel {running} --reason 'runs away' --yes")),
        ("Run all of the rare type again.", "retry --type CloseAccount --yes".into()),
        ("Run all again that failed for this reason.", "retry --error '10.0.3.17:25' --yes".into()),
        ("Run now what waits for another attempt.", "run-now --state retry --error '10.0.3.17:25' --yes".into()),
        ("Let nothing of this type begin.", "pause --type SendEmail --reason 'the mail server is away'".into()),
        ("Let it begin again.", "resume --type SendEmail".into()),
        ("Keep what failed so.", format!("export --state failed --type Invoice --error 'no image' > {export}")),
        ("Have that done once more.", format!("import {export} --rerun --yes")),
        ("Away with one.", format!("delete {waits} --yes")),
        ("Away with what failed long ago.", "purge --older 25d --yes".into()),
        ("One more.", "enqueue Invoice '{\"user\": 7}'".into()),
    ] {
        one(url, question, &command);
    }
    let _ = std::fs::remove_file(export.to_string());
}

/// By a shell, as it would be typed.
fn one(url: &str, question: &str, command: &str) {
    let typed = format!("\"$0\" {command}");
    let begun = Instant::now();
    let answer = Command::new("sh")
        .args(["-c", &typed, PROGRAM])
        .env("DATABASE_URL", url)
        .env("COLUMNS", "150")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let took = begun.elapsed().as_secs_f64();
    println!("\n**{question}** `job-queue {command}`: {took:.2} s, exit code {}", answer.status.code().unwrap_or(-1));
    let said = [answer.stdout, answer.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    println!("```");
    lines.iter().take(LINES).for_each(|line| println!("{line}"));
    if lines.len() > LINES {
        println!("… {} lines more", lines.len() - LINES);
    }
    println!("```");
}
