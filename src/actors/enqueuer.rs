use actix::{Actor, Context, Handler, Message, ResponseFuture};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_postgres::Client;

use super::members::MAILBOX;
use crate::{
    database::{Lane, outdates},
    error::{DatabaseError, EnqueueError},
    job::NewJob,
    run::batch::{Batcher, Company},
    store::{Planned, Store},
};

/// One statement takes so many jobs at most.
const MOST: usize = 1_000;

/// Enqueues a job in a transaction of its own, for callers that have none. The answer is the job's id.
///
/// Jobs that are sent while a statement is under way share the next one. One that follows another at once goes to the
/// server and back first, for 10 ms at most, so that whoever was just answered can join.
#[derive(Debug, Message)]
#[rtype(result = "Result<i64, EnqueueError>")]
pub struct Enqueue(pub NewJob);

/// Takes [`Enqueue`] messages.
#[derive(Debug)]
pub struct EnqueueActor {
    store: Store,
    batches: Batcher<NewJob, Result<i64, EnqueueFailure>>,
}

/// An error that several callers can share.
#[derive(Debug, Clone)]
enum EnqueueFailure {
    Database(DatabaseError),
    KeptOut,
}

impl EnqueueActor {
    pub(crate) fn new(store: Store, io: &Handle) -> Self {
        let company = {
            let database = store.database.clone();
            move || -> BoxFuture<'static, ()> {
                let database = database.clone();
                Box::pin(async move { database.round_trip().await })
            }
        };
        let batches = Batcher::start(io, MOST, Company::Returning(Box::new(company)), {
            let store = store.clone();
            move |jobs| {
                let store = store.clone();
                async move { enqueue(&store, jobs).await }
            }
        });
        Self { store, batches }
    }
}

impl Actor for EnqueueActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Enqueue> for EnqueueActor {
    type Result = ResponseFuture<Result<i64, EnqueueError>>;

    fn handle(&mut self, Enqueue(job): Enqueue, _: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.store.check_kind(&job) {
            return Box::pin(async { Err(error) });
        }
        let store = self.store.clone();
        let answer = self.batches.submit(job);
        Box::pin(async move {
            match answer.await {
                Some(Ok(id)) => Ok(id),
                Some(Err(EnqueueFailure::Database(error))) => Err(error.into()),
                Some(Err(EnqueueFailure::KeptOut)) => Err(store.kept_out(1, 0)),
                None => Err(EnqueueError::Ended { queue: store.name.to_string() }),
            }
        })
    }
}

/// Inserts the jobs together, or each by itself if one of them is refused.
async fn enqueue(store: &Store, jobs: Vec<NewJob>) -> Vec<Result<i64, EnqueueFailure>> {
    let connection = match store.database.get(Lane::Work, "enqueue jobs").await {
        Ok(connection) => connection,
        Err(error) => return all_fail(&jobs, error),
    };
    let (plans, client): (_, &Client) = (connection.plans(), &connection);
    if jobs.len() > 1 {
        match store.enqueue_together(client, &plans, &jobs).await {
            Ok(ids) if ids.len() == jobs.len() => return ids.into_iter().map(Ok).collect(),
            Err(error) if error.is_ambiguous() => return all_fail(&jobs, error),
            // None of them exists: one was refused, or kept out by a trigger.
            Ok(_) | Err(_) => {}
        }
    }
    let mut answers = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let insert = || store.enqueue_all(client, Planned::Kept(&plans), std::slice::from_ref(job));
        let mut alone = insert().await;
        if alone.as_ref().is_err_and(|error| error.code().is_some_and(outdates)) {
            // A completion has deallocated what is planned on its connection.
            alone = insert().await;
        }
        answers.push(match alone.as_deref() {
            Ok([id]) => Ok(*id),
            Ok(_) => Err(EnqueueFailure::KeptOut),
            Err(error) => Err(EnqueueFailure::Database(error.clone())),
        });
    }
    answers
}

fn all_fail(jobs: &[NewJob], error: DatabaseError) -> Vec<Result<i64, EnqueueFailure>> {
    jobs.iter().map(|_| Err(EnqueueFailure::Database(error.clone()))).collect()
}
