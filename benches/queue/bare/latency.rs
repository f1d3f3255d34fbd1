//! One row at a time: its insert notifies, the notification is heard on another connection, which claims the row.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::unbounded_channel;
use tokio_postgres::{AsyncMessage, NoTls, types::ToSql};

use super::{
    PLANS,
    drain::claim_and_delete,
    enqueue::{insert, params},
    read, steps,
};
use crate::{
    child::{Stage, Task},
    failure::Failure,
    server::connect,
};

/// The first few find cold caches; they are not counted, here or there.
pub(crate) const WARM_UP: u64 = 20;

/// What makes a table like the queue's notify at every insert, its triggers replaced.
pub(crate) fn setup(table: &str) -> String {
    format!(
        "CREATE FUNCTION {table}_notify() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_notify('{table}', ''); RETURN NULL; END $$;
         CREATE TRIGGER notify AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_notify()"
    )
}

pub(crate) async fn run(task: &Task, pause_ms: u64, in_steps: bool, stage: &Stage) -> Result<(), Failure> {
    let inserter = connect(&task.url).await?;
    let insert = inserter.prepare(&insert(&task.table)).await?;
    let (listener, mut connection) = tokio_postgres::connect(&task.url, NoTls).await?;
    let (tell, mut heard) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if matches!(message, AsyncMessage::Notification(_)) && tell.send(()).is_err() {
                return;
            }
        }
    });
    listener.batch_execute(&format!("{PLANS}; LISTEN {}", task.table)).await?;
    let claim = if in_steps { steps::reserve(&task.table, 1) } else { claim_and_delete(&task.table, 1) };
    let claim = listener.prepare(&claim).await?;
    let start = listener.prepare(&steps::start(&task.table)).await?;
    let delete = listener.prepare(&format!("DELETE FROM {}", task.table)).await?;
    stage.ready().await;
    stage.tally.begin();
    for n in 0..task.wanted + WARM_UP {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let params = params(n)?;
        let row: [&(dyn ToSql + Sync); 1] = [&params];
        let sent = Instant::now();
        // The notification may well be here before the insert's own answer.
        let claimed = async {
            heard.recv().await.ok_or("the connection that listens has ended")?;
            let rows = listener.query(&claim, &[]).await?;
            if !in_steps {
                let begun = Instant::now();
                read(&rows)?;
                return Ok((rows.len(), begun));
            }
            let (ids, _) = read(&rows)?;
            listener.execute(&start, &[&ids]).await?;
            Ok::<_, Failure>((rows.len(), Instant::now()))
        };
        let (inserted, claimed) = tokio::join!(inserter.query_one(&insert, &row), claimed);
        inserted?;
        let (rows, begun) = claimed?;
        if in_steps {
            listener.execute(&delete, &[]).await?;
        }
        if rows != 1 {
            return Err(format!("the bare loop found {rows} rows instead of one").into());
        }
        if n >= WARM_UP {
            stage.tally.timed(begun - sent);
        }
    }
    Ok(())
}
