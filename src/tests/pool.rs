//! What the pools tell of those that wait for them.

use futures_util::{FutureExt, poll};

use super::support::TestDb;
use crate::{DatabaseOptions, database::Lane};

#[actix::test]
async fn a_pool_is_short_as_long_as_each_of_its_connections_is_waited_for() {
    let db = TestDb::new().await;
    let database = DatabaseOptions::new().pool_size(1).connect(&db.url()).await.unwrap();
    let lent = database.get(Lane::Work, "keep it").await.unwrap();
    assert!(!database.is_short(), "it is lent, and nobody waits");

    let mut waits = database.get(Lane::Work, "wait for it").boxed();
    assert!(poll!(&mut waits).is_pending());
    assert!(database.is_short());
    drop(waits);
    assert!(!database.is_short(), "who has gone waits no more");

    let mut waits = database.get(Lane::Work, "wait for it").boxed();
    assert!(poll!(&mut waits).is_pending());
    drop(lent);
    let _lent = waits.await.unwrap();
    assert!(!database.is_short());
}
