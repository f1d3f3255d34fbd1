use std::{rc::Rc, sync::Arc, time::Instant};

use futures_util::future::{join, join_all};

use super::{Attempt, Ending, conclude, go_back, run, start};
use crate::{
    handler::{Batch, BatchContext, BatchPerformer, Rules},
    job::Reserved,
    logs,
    run::{shared::Shared, slots::Place},
};

/// A job of a batch, and its place in the worker, which it leaves for good when this is dropped.
struct Member {
    attempt: Attempt,
    /// Kept for a second run, in which the job is alone.
    job: Reserved,
    place: Place,
}

/// Performs reserved jobs together. If that fails, each is performed alone, so that only those fail which fail
/// by themselves. Whatever happens on the way, it comes back.
pub(super) async fn perform(shared: Arc<Shared>, performer: Rc<dyn BatchPerformer>, jobs: Vec<(Reserved, Place)>) {
    if shared.draining.is_cancelled() {
        // The shutdown gives back what is reserved.
        return;
    }
    let sent = Instant::now();
    let (shared, rules): (_, &dyn Rules) = (&shared, &*performer);
    let started = jobs.into_iter().map(|(job, mut place)| async move {
        let attempt = start(shared, Some(rules), &job, place.slot(), sent).await?;
        let job = Reserved { attempt: attempt.held.hold.attempt, ..job };
        let entered = place.enter(&attempt.held.hold).await;
        Some((Member { attempt, job, place }, entered))
    });
    let started = join_all(started).await.into_iter().flatten();
    let (entered, kept_out): (Vec<_>, Vec<_>) = started.partition(|(_, entered)| *entered);
    let members = entered.into_iter().map(|(member, _)| member).collect();
    let returns = kept_out.into_iter().map(|(member, _)| go_back(shared, member.attempt, member.place));
    join(together(shared, &performer, members), join_all(returns)).await;
}

/// Runs the handler once for all of these, and settles them, or performs each of them alone.
async fn together(shared: &Arc<Shared>, performer: &Rc<dyn BatchPerformer>, members: Vec<Member>) {
    let holds: Vec<_> = members.iter().map(|member| Arc::clone(&member.attempt.held.hold)).collect();
    if holds.is_empty() {
        return;
    }
    let batch = Arc::new(Batch::of(holds.clone()));
    let ending = {
        let (performer, jobs) = (Rc::clone(performer), members.iter().map(|member| member.job.clone()).collect());
        let context = BatchContext::new(Arc::clone(shared), Arc::clone(&batch));
        let work = Box::pin(async move { performer.perform(jobs, context).await });
        run(&shared.store.label, &holds, &batch.token, work).await
    };
    let (mut alone, mut settled) = (Vec::new(), Vec::new());
    for member in members {
        let hold = &member.attempt.held.hold;
        if let Some(error) = batch.take_failure(hold.lease.id) {
            settled.push((member, Some(Ending::Returned(Err(error)))));
        } else if holds.len() > 1 && ending.leaves(hold) {
            alone.push(member);
        } else {
            settled.push((member, None));
        }
    }
    if !alone.is_empty() {
        let (queue, node, kind, jobs) =
            (&*shared.store.label, shared.node.number(), alone[0].job.kind.as_deref(), alone.len());
        log::warn!(
            target: logs::JOB, queue, node, type = kind, jobs, error:% = ending;
            "queue {queue}: a batch failed, and each of its {jobs} jobs is performed alone: {ending}"
        );
    }
    let settling = settled.into_iter().map(|(member, own)| {
        let ending = &ending;
        async move {
            let Member { attempt, place: _place, .. } = member;
            conclude(shared, attempt, own.as_ref().unwrap_or(ending)).await;
        }
    });
    let performing = alone.into_iter().map(|member| Box::pin(together(shared, performer, vec![member])));
    join(join_all(settling), join_all(performing)).await;
}
