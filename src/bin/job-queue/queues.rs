use actix_job_queue::{
    State,
    operate::{self, Operator, Overview},
};
use serde_json::json;

use crate::{
    cli::Target,
    connect::database,
    failure::Failure,
    output::{About, ago, cell, print, print_json, print_table, table},
};

pub(crate) async fn run(target: &Target) -> Result<(), Failure> {
    let database = database(target).await?;
    let queues = operate::queues(&database).await?;
    let mut looked = Vec::with_capacity(queues.len());
    for queue in queues {
        let overview = if queue.current {
            Some(Operator::open(&database, &queue.schema, &queue.table).await?.overview().await?)
        } else {
            None
        };
        looked.push((queue, overview));
    }
    if target.json {
        let all: Vec<_> =
            looked.iter().map(|(queue, overview)| json!({ "queue": queue, "overview": overview })).collect();
        return Ok(print_json(&all)?);
    }
    if looked.is_empty() {
        return Ok(print("this database has no queue that you may see: make one with migrate --queue NAME")?);
    }
    let mut table = table(["SCHEMA", "QUEUE", "WAITING", "SINCE", "LATER", "RUNNING", "FAILED", "MIGRATION"]);
    for (queue, overview) in &looked {
        let count = |states: &[State]| overview.as_ref().map_or("?".to_owned(), |overview| sum(overview, states));
        let since = overview.as_ref().and_then(|overview| Some(ago(overview.waiting_since?, overview.now)));
        let migration = if queue.current { queue.version.to_string() } else { format!("{}, pending", queue.version) };
        table.add_row([
            cell(&queue.schema, 63),
            cell(&queue.table, 63),
            cell(&count(&[State::Available]), 30),
            cell(since.as_deref().unwrap_or("-"), 30),
            cell(&count(&[State::Scheduled, State::Retry]), 30),
            cell(&count(&[State::Reserved, State::InProgress]), 30),
            cell(&count(&[State::Failed]), 30),
            cell(&migration, 30),
        ]);
    }
    Ok(print_table(&table)?)
}

fn sum(overview: &Overview, states: &[State]) -> String {
    let figures = overview.depth.iter().filter(|depth| states.contains(&depth.state)).map(|depth| depth.figure);
    let all = figures.fold(operate::Figure { jobs: 0, exact: true }, |all, one| operate::Figure {
        jobs: all.jobs + one.jobs,
        exact: all.exact && one.exact,
    });
    About(all).to_string()
}
