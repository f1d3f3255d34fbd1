//! The program while it serves the dashboard.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// Starts it, and says where it serves. It ends with what is returned, which has its log.
pub async fn serve(command: impl Into<Command>) -> (Child, String) {
    let mut command = command.into();
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("the program");
    let mut said = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let url = said.next_line().await.expect("it says something").expect("it says where");
    (child, url)
}
