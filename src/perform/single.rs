use std::{rc::Rc, sync::Arc, time::Instant};

use super::{Ending, conclude, run, start};
use crate::{
    handler::{Context, JobError, Performer, Rules, Surroundings},
    job::Reserved,
    run::shared::Shared,
};

/// Performs a reserved job by its handler, or fails it because there is none. Whatever happens on the way, it
/// comes back.
pub(crate) async fn perform(shared: Arc<Shared>, found: Result<Rc<dyn Performer>, JobError>, job: Reserved) {
    if shared.draining.is_cancelled() {
        // The shutdown gives back what is reserved.
        return;
    }
    let rules = found.as_ref().ok().map(|performer| &**performer as &dyn Rules);
    let Some(attempt) = start(&shared, rules, &job, Instant::now()).await else {
        return;
    };
    let ending = match found {
        Ok(performer) => {
            let hold = Arc::clone(&attempt.held.hold);
            let job = Reserved { attempt: hold.attempt, ..job };
            let context = Context::new(Surroundings::of(&shared), Arc::clone(&hold));
            let token = hold.token.clone();
            run(&shared.store.label, &[hold], &token, async move { performer.perform(job, context).await }).await
        }
        Err(unknown) => Ending::Returned(Err(unknown)),
    };
    conclude(&shared, attempt, &ending).await;
}
