use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::lock::lock;

/// So many heartbeats in `dead_after`: three may be lost before the process counts as dead.
pub(crate) const BEATS: u32 = 4;

/// This process among those that work on a schema's queues, as they see it.
///
/// It lives as long as the database hears of it in time. If it was silent for so long that others may count it as
/// dead, that life is over, whoever noticed: nothing that was started in it can be completed, and the process goes
/// on under a new number.
#[derive(Debug)]
pub(crate) struct Node {
    /// For people: its host, its number there and its program.
    pub(crate) name: String,
    pub(crate) dead_after: Duration,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    number: i64,
    /// Nobody counts this process as dead before this. Reckoned from before each statement was sent, so never later
    /// than the database's own time; none before the database has heard of this life, in which nothing is held yet.
    alive_until: Option<Instant>,
    over: bool,
    /// Its end is dealt with.
    dealt_with: bool,
}

impl Current {
    fn new(number: i64) -> Self {
        Self { number, alive_until: None, over: false, dealt_with: false }
    }

    /// Whoever learns that others may count this process as dead leaves jobs to them: then this life is over, whatever
    /// arrives later.
    fn is_alive(&mut self, now: Instant) -> bool {
        self.over |= self.alive_until.is_some_and(|until| until <= now);
        !self.over && self.alive_until.is_some()
    }
}

/// One of a process's lives: from a number to the silence that ends it.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    node: Arc<Node>,
    number: i64,
}

impl Node {
    pub(crate) fn new(number: i64, name: String, dead_after: Duration) -> Self {
        Self { name, dead_after, current: Mutex::new(Current::new(number)) }
    }

    /// A number that no other process has, nor this one in another life.
    pub(crate) fn number(&self) -> i64 {
        self.current().number
    }

    pub(crate) fn life(self: &Arc<Self>) -> Life {
        Life { node: Arc::clone(self), number: self.number() }
    }

    /// A heartbeat sent at this time has arrived.
    pub(crate) fn beaten(&self, sent: Instant) {
        self.alive_for(sent, self.dead_after);
    }

    /// A claim sent at this time has brought jobs. It leaves a heartbeat alone that is at most one beat old.
    pub(crate) fn claimed(&self, sent: Instant) {
        self.alive_for(sent, self.dead_after - self.dead_after / BEATS);
    }

    fn alive_for(&self, sent: Instant, time: Duration) {
        let mut current = self.current();
        if !current.over {
            current.alive_until = current.alive_until.max(Some(sent + time));
        }
    }

    /// How long nobody counts this process as dead, whatever happens to its connections.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.current().alive_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Whether nobody can count this process as dead yet. It ends the life in which the answer is no.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        self.current().is_alive(now)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.current().over
    }

    /// The number of the life that is over, told once. While it is `holding` nothing, a process may be silent.
    pub(crate) fn ended(&self, holding: bool, now: Instant) -> Option<i64> {
        let mut current = self.current();
        let over = current.over || holding && !current.is_alive(now);
        (over && !std::mem::replace(&mut current.dealt_with, true)).then_some(current.number)
    }

    /// Begins another, in which nothing has been heard yet.
    pub(crate) fn begin(&self, number: i64) {
        *self.current() = Current::new(number);
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }
}

impl Life {
    /// The process's number in this life.
    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// Whether this is the life that the process lives now.
    pub(crate) fn is_current(&self) -> bool {
        self.node.number() == self.number
    }

    /// Whether nobody can have counted the process as dead since this life began: what was started in it may be
    /// completed. It does not go on once the answer was no.
    pub(crate) fn goes_on(&self) -> bool {
        let mut current = self.node.current();
        current.number == self.number && current.is_alive(Instant::now())
    }

    pub(crate) fn dead_after(&self) -> Duration {
        self.node.dead_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD_AFTER: Duration = Duration::from_secs(10);

    fn node() -> (Arc<Node>, Instant) {
        (Arc::new(Node::new(1, "test".into(), DEAD_AFTER)), Instant::now())
    }

    #[test]
    fn a_process_is_alive_from_the_sending_of_its_heartbeat_on() {
        let (node, now) = node();
        node.beaten(now);

        assert!(node.is_alive(now + DEAD_AFTER - Duration::from_millis(1)));
        assert_eq!(node.left(now + DEAD_AFTER * 2), Duration::ZERO);
        assert!(!node.is_alive(now + DEAD_AFTER));
    }

    #[test]
    fn a_claim_may_have_left_an_older_heartbeat_alone() {
        let (node, now) = node();
        node.claimed(now);
        assert_eq!(node.left(now), DEAD_AFTER * 3 / 4);

        node.beaten(now);
        node.claimed(now + Duration::from_millis(1));
        assert_eq!(node.left(now), DEAD_AFTER, "a claim took from the heartbeat's time");
    }

    #[test]
    fn nothing_that_was_started_in_a_life_outlives_it() {
        let (node, now) = node();
        node.beaten(now);
        let life = node.life();
        assert!(life.goes_on());

        assert!(!node.is_alive(now + DEAD_AFTER));
        node.beaten(now + DEAD_AFTER);
        assert!(!life.goes_on(), "a late answer brought the dead back");
        assert_eq!((node.ended(false, now), node.ended(true, now)), (Some(1), None));

        node.begin(2);
        node.beaten(now);
        assert!(!life.goes_on() && node.life().goes_on());
    }

    #[test]
    fn a_process_that_holds_nothing_may_be_silent_for_as_long_as_it_likes() {
        let (node, now) = node();
        assert!(!node.is_alive(now), "nobody has heard of it");
        node.beaten(now);

        assert_eq!(node.ended(false, now + DEAD_AFTER), None);
        node.claimed(now + DEAD_AFTER);
        assert!(node.is_alive(now + DEAD_AFTER));
        assert_eq!(node.ended(true, now + DEAD_AFTER * 2), Some(1));
    }
}
