//! Random sequences of every transition against a small model of the contract.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{MINUTE, Table, node};
use crate::{
    job::State,
    run::node::Node,
    store::{Lease, Settlement, Take, Verdict},
};

/// What may happen to a queue. Numbers choose among the jobs and processes there are.
#[derive(Debug, Clone)]
enum Move {
    Enqueue { later: bool, max_attempts: i32, priority: i32 },
    Claim { node: usize, limit: usize },
    Start { job: usize, node: usize },
    Complete { job: usize },
    Retry { job: usize },
    GiveUp { job: usize },
    Snooze { job: usize },
    Return { job: usize },
    Unreserve { node: usize },
    ComeDue { job: usize },
    Lapse { job: usize },
    Die { node: usize },
    Sweep,
    Requeue { job: usize },
    Delete { job: usize },
    Late { job: usize },
}

fn any_move() -> impl Strategy<Value = Move> {
    let (job, node) = (0..6_usize, 0..3_usize);
    prop_oneof![
        4 => (any::<bool>(), 1..4_i32, -1..2_i32)
            .prop_map(|(later, max_attempts, priority)| Move::Enqueue { later, max_attempts, priority }),
        4 => (node.clone(), 1..4_usize).prop_map(|(node, limit)| Move::Claim { node, limit }),
        6 => (job.clone(), node.clone()).prop_map(|(job, node)| Move::Start { job, node }),
        2 => job.clone().prop_map(|job| Move::Complete { job }),
        3 => job.clone().prop_map(|job| Move::Retry { job }),
        1 => job.clone().prop_map(|job| Move::GiveUp { job }),
        1 => job.clone().prop_map(|job| Move::Snooze { job }),
        1 => job.clone().prop_map(|job| Move::Return { job }),
        1 => node.clone().prop_map(|node| Move::Unreserve { node }),
        2 => job.clone().prop_map(|job| Move::ComeDue { job }),
        2 => job.clone().prop_map(|job| Move::Lapse { job }),
        1 => node.prop_map(|node| Move::Die { node }),
        3 => Just(Move::Sweep),
        2 => job.clone().prop_map(|job| Move::Requeue { job }),
        1 => job.clone().prop_map(|job| Move::Delete { job }),
        2 => job.prop_map(|job| Move::Late { job }),
    ]
}

/// A job as the contract has it.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    state: State,
    attempt: i32,
    max_attempts: i32,
    priority: i32,
    lease: i64,
    due: bool,
    holder: Option<usize>,
    lapsed: bool,
}

/// The queue as the contract has it.
#[derive(Debug, Default)]
struct Model {
    jobs: BTreeMap<i64, Expected>,
    dead: [bool; 3],
}

impl Model {
    fn nth(&self, number: usize) -> Option<i64> {
        self.jobs.keys().nth(number).copied()
    }

    /// The job, if its attempt is under way by this lease.
    fn running(&mut self, job: Lease) -> Option<&mut Expected> {
        self.jobs.get_mut(&job.id).filter(|found| found.state == State::InProgress && found.lease == job.lease)
    }

    fn available(&self) -> Vec<i64> {
        let mut ids: Vec<_> = self.jobs.iter().filter(|(_, job)| job.state == State::Available).collect();
        // Schedules grow with the ids but for those that were moved, so the model leaves ties of priority open.
        ids.sort_by_key(|(id, job)| (job.priority, **id));
        ids.into_iter().map(|(id, _)| *id).collect()
    }

    fn sweep(&mut self) {
        for job in self.jobs.values_mut() {
            match job.state {
                State::Scheduled | State::Retry if job.due => job.state = State::Available,
                State::Reserved | State::InProgress
                    if job.lapsed || job.holder.is_some_and(|holder| self.dead[holder]) =>
                {
                    let last = job.state == State::InProgress && job.attempt >= job.max_attempts;
                    job.state = if last { State::Failed } else { State::Available };
                    (job.holder, job.lapsed) = (None, false);
                }
                _ => {}
            }
        }
    }
}

impl Expected {
    fn end(&mut self, state: State) {
        self.state = state;
        (self.holder, self.lapsed) = (None, false);
    }
}

/// Makes the same move in the table and in the model, and compares what both say of it.
async fn make(table: &Table, nodes: &[Arc<Node>], model: &mut Model, step: Move) -> Result<(), TestCaseError> {
    match step {
        Move::Enqueue { later, max_attempts, priority } => {
            let schedule = if later { "now() + interval '1 h'" } else { "now()" };
            let values = format!("{schedule}, {max_attempts}, {priority}");
            let id = table.insert("schedule, max_attempts, priority", &values).await;
            let state = if later { State::Scheduled } else { State::Available };
            let job = Expected {
                state,
                attempt: 0,
                max_attempts,
                priority,
                lease: 0,
                due: !later,
                holder: None,
                lapsed: false,
            };
            model.jobs.insert(id, job);
        }
        Move::Claim { node, limit } => {
            let claimed = table.store.claim(limit, Take::Reserve(MINUTE), &nodes[node]).await.expect("a claim").jobs;
            let available = model.available();
            prop_assert_eq!(claimed.len(), limit.min(available.len()));
            let priorities: Vec<_> = claimed.iter().map(|job| job.priority).collect();
            let first: Vec<_> = available.iter().take(limit).map(|id| model.jobs[id].priority).collect();
            prop_assert_eq!(priorities, first, "the most urgent come first");
            if !claimed.is_empty() {
                model.dead[node] = false;
            }
            for job in claimed {
                let expected = model.jobs.get_mut(&job.id).expect("a known job");
                prop_assert_eq!((expected.state, expected.lease), (State::Available, job.lease));
                (expected.state, expected.holder) = (State::Reserved, Some(node));
            }
        }
        Move::Start { job, node } => {
            let Some(id) = model.nth(job) else { return Ok(()) };
            let expected = model.jobs.get_mut(&id).expect("a known job");
            let wanted = [(Lease { id, lease: expected.lease }, MINUTE)];
            let started = table.store.start(&wanted, &nodes[node]).await.expect("a start");
            let may = expected.state == State::Reserved && expected.holder == Some(node) && !expected.lapsed;
            prop_assert_eq!(started.len(), usize::from(may));
            if may {
                expected.state = State::InProgress;
                expected.attempt += 1;
                expected.lease += 1;
                prop_assert_eq!(started[0].attempt, expected.attempt);
                prop_assert_eq!(started[0].lease.lease, expected.lease);
            }
        }
        Move::Complete { job } => {
            let Some(id) = model.nth(job) else { return Ok(()) };
            let lease = Lease { id, lease: model.jobs[&id].lease };
            let outcome = table.store.complete(&[lease]).await.expect("a completion")[0];
            let may = model.running(lease).is_some();
            prop_assert_eq!(outcome, if may { Settlement::Completed } else { Settlement::Lost });
            if may {
                model.jobs.remove(&id);
            }
        }
        Move::Retry { job } => {
            settle(table, model, job, Verdict::Retry { after: MINUTE, error: vec!["no".into()] }).await?
        }
        Move::GiveUp { job } => settle(table, model, job, Verdict::Fail { error: vec!["no".into()] }).await?,
        Move::Snooze { job } => settle(table, model, job, Verdict::Snooze { after: MINUTE }).await?,
        Move::Return { job } => settle(table, model, job, Verdict::Return).await?,
        Move::Unreserve { node } => {
            let (returned, _) = table.store.unreserve(&nodes[node], None, None).await.expect("a return");
            let mine = |job: &&mut Expected| job.state == State::Reserved && job.holder == Some(node);
            let count = model.jobs.values_mut().filter(mine).map(|job| job.end(State::Available)).count();
            prop_assert_eq!(returned, count as u64);
        }
        Move::ComeDue { job } => {
            let Some(id) = model.nth(job) else { return Ok(()) };
            table.run_sql(&format!("UPDATE jobs SET schedule = now() WHERE id = {id}")).await;
            model.jobs.get_mut(&id).expect("a known job").due = true;
        }
        Move::Lapse { job } => {
            let Some(id) = model.nth(job) else { return Ok(()) };
            let sql = "UPDATE jobs SET expires = now() - interval '1 h' WHERE expires IS NOT NULL AND id =";
            table.run_sql(&format!("{sql} {id}")).await;
            let expected = model.jobs.get_mut(&id).expect("a known job");
            expected.lapsed = expected.holder.is_some();
        }
        Move::Die { node } => {
            table.kill(nodes[node].number()).await;
            model.dead[node] = true;
        }
        Move::Sweep => {
            table.store.sweep().await.expect("a sweep");
            model.sweep();
        }
        Move::Requeue { job } => {
            let Some(id) = model.nth(job) else { return Ok(()) };
            let requeued = table.store.requeue(&table.client, &[id]).await.expect("a requeue");
            let expected = model.jobs.get_mut(&id).expect("a known job");
            prop_assert_eq!(requeued.len(), usize::from(expected.state == State::Failed));
            if expected.state == State::Failed {
                expected.end(State::Scheduled);
                (expected.attempt, expected.due) = (0, true);
            }
        }
        Move::Delete { job } => {
            let Some(id) = model.nth(job) else { return Ok(()) };
            table.run_sql(&format!("DELETE FROM jobs WHERE id = {id}")).await;
            model.jobs.remove(&id);
        }
        Move::Late { job } => {
            let Some(id) = model.nth(job).filter(|id| model.jobs[id].lease > 0) else { return Ok(()) };
            let late = Lease { id, lease: model.jobs[&id].lease - 1 };
            let outcome = table.store.complete(&[late]).await.expect("a late completion")[0];
            prop_assert_eq!(outcome, Settlement::Lost, "an earlier lease matches nothing");
        }
    }
    Ok(())
}

async fn settle(table: &Table, model: &mut Model, job: usize, verdict: Verdict) -> Result<(), TestCaseError> {
    let Some(id) = model.nth(job) else { return Ok(()) };
    let lease = Lease { id, lease: model.jobs[&id].lease };
    let outcome = table.store.settle(&[(lease, verdict.clone())]).await.expect("a settlement")[0];
    let Some(expected) = model.running(lease) else {
        prop_assert_eq!(outcome, Settlement::Lost);
        return Ok(());
    };
    let state = match verdict {
        Verdict::Retry { .. } if expected.attempt < expected.max_attempts => State::Retry,
        Verdict::Retry { .. } | Verdict::Fail { .. } => State::Failed,
        Verdict::Snooze { .. } => State::Scheduled,
        Verdict::Return => State::Available,
    };
    prop_assert_eq!(outcome, Settlement::Settled(state));
    expected.end(state);
    if matches!(state, State::Retry | State::Scheduled) {
        expected.due = false;
    }
    if matches!(verdict, Verdict::Snooze { .. } | Verdict::Return) {
        expected.attempt -= 1;
    }
    Ok(())
}

/// Whether the table says of every job what the model says.
async fn compare(table: &Table, model: &Model) -> Result<(), TestCaseError> {
    let count: i64 = table.client.query_typed_one("SELECT count(*) FROM jobs", &[]).await.expect("a count").get(0);
    prop_assert_eq!(count, model.jobs.len() as i64, "no job is lost and none appears");
    for (id, job) in &model.jobs {
        let row = table.row(*id).await;
        let Some(row) = row else { return Err(TestCaseError::fail(format!("job {id} is gone"))) };
        prop_assert_eq!(
            (row.state.as_str(), row.attempt, row.lease, row.held),
            (job.state.as_str(), job.attempt, job.lease, job.holder.is_some()),
            "job {}",
            id
        );
    }
    Ok(())
}

#[actix::test]
async fn every_sequence_of_transitions_ends_where_the_contract_says() {
    let table = Table::new().await;
    let nodes = [node(&table.store).await, node(&table.store).await, node(&table.store).await];
    let handle = tokio::runtime::Handle::current();
    // The runner is synchronous, so it has a thread of its own and asks this runtime.
    let run = move || {
        let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
        TestRunner::new(config).run(&prop::collection::vec(any_move(), 1..40), |moves| {
            handle.block_on(async {
                table.run_sql("TRUNCATE jobs; UPDATE job_queue_nodes SET dead_at = now() + interval '1 h'").await;
                let mut model = Model::default();
                for step in moves {
                    make(&table, &nodes, &mut model, step.clone()).await?;
                    compare(&table, &model)
                        .await
                        .map_err(|error| TestCaseError::fail(format!("after {step:?}: {error}")))?;
                }
                Ok(())
            })
        })
    };
    let outcome = tokio::task::spawn_blocking(run).await.unwrap();

    outcome.unwrap();
}
