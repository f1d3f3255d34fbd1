use std::{rc::Rc, sync::Arc, time::Instant};

use super::{Ending, conclude, go_back, run, start};
use crate::{
    handler::{Context, JobError, Performer, Rules},
    job::Reserved,
    run::{shared::Shared, slots::Place},
};

/// Performs a reserved job by its handler, or fails it because there is none. Whatever happens on the way, it
/// comes back, and lets go of the job's place when all is done.
#[allow(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice, and each job pays for that")]
pub(super) fn perform(
    shared: Arc<Shared>,
    found: Result<Rc<dyn Performer>, JobError>,
    mut job: Reserved,
    place: Place,
) -> impl Future<Output = ()> {
    async move {
        let mut place = place;
        if shared.draining.is_cancelled() {
            // The shutdown gives back what is reserved.
            return;
        }
        let rules = found.as_ref().ok().map(|performer| &**performer as &dyn Rules);
        let Some(attempt) = start(&shared, rules, &job, place.slot(), Instant::now()).await else {
            return;
        };
        let hold = Arc::clone(&attempt.held.hold);
        if !place.enter(&hold).await {
            return go_back(&shared, attempt, place).await;
        }
        let ending = match found {
            Ok(performer) => {
                job.attempt = hold.attempt;
                let context = Context::new(Arc::clone(&shared), Arc::clone(&hold));
                let token = hold.token.clone();
                // The handler's future is made within, for making it may panic too.
                let work = Box::pin(async move { performer.perform(job, context).await });
                run(&shared.store.label, &[hold], &token, work).await
            }
            Err(unknown) => Ending::Returned(Err(unknown)),
        };
        conclude(&shared, attempt, &ending).await;
    }
}
