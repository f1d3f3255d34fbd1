use actix::{Actor, Context, Handler, Message, ResponseFuture};
use tokio::runtime::Handle;

use super::members::MAILBOX;
use crate::{
    database::Lane,
    error::{DatabaseError, EnqueueError},
    job::NewJob,
    run::batch::Batcher,
    store::Store,
};

/// One statement takes so many jobs at most.
const MOST: usize = 1_000;

/// Enqueues a job in a transaction of its own, for callers that have none. The answer is the job's id.
///
/// Jobs that are sent while a statement is under way share the next one.
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
struct EnqueueFailure(DatabaseError);

impl EnqueueActor {
    pub(crate) fn new(store: Store, io: &Handle) -> Self {
        let batches = Batcher::start(io, MOST, {
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
        let queue = self.store.name.to_string();
        let answer = self.batches.submit(job);
        Box::pin(async move {
            match answer.await {
                Some(Ok(id)) => Ok(id),
                Some(Err(EnqueueFailure(error))) => Err(error.into()),
                None => Err(EnqueueError::Ended { queue }),
            }
        })
    }
}

/// Inserts the jobs in one statement, or each in its own if one of them is refused.
async fn enqueue(store: &Store, jobs: Vec<NewJob>) -> Vec<Result<i64, EnqueueFailure>> {
    let connection = match store.database.get(Lane::Work, "enqueue jobs").await {
        Ok(connection) => connection,
        Err(error) => return jobs.iter().map(|_| Err(EnqueueFailure(error.clone()))).collect(),
    };
    match store.enqueue_all(&*connection, &jobs).await {
        Ok(ids) => ids.into_iter().map(Ok).collect(),
        // The server refused the statement, so none of them exists.
        Err(error) if jobs.len() > 1 && !error.is_ambiguous() => {
            let mut answers = Vec::with_capacity(jobs.len());
            for job in jobs {
                let alone = store.enqueue_all(&*connection, std::slice::from_ref(&job)).await;
                answers.push(alone.map(|ids| ids[0]).map_err(EnqueueFailure));
            }
            answers
        }
        Err(error) => jobs.iter().map(|_| Err(EnqueueFailure(error.clone()))).collect(),
    }
}
