//! Jobs claimed a little before somebody has room for them, so that nobody waits for the claim.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{job::Reserved, settings::LONGEST_AHEAD};

/// The pace is taken over so long: many claims at full load, and short against the time that is claimed ahead.
const WINDOW: Duration = Duration::from_millis(20);

/// More than this many times max_demand is never claimed ahead, whatever the pace.
const MOST: usize = 10;

/// A job that has waited so many times the time that is claimed ahead waits for nobody here: it goes back.
const PATIENCE: u32 = 5;

/// What is claimed ahead is worth so many claims' time.
const CLAIMS: u32 = 4;

/// A slow database stretches the time that is claimed ahead to so many times what was set, and to no more than that.
const STRETCH: u32 = 10;

/// The stock of jobs that are claimed and given to no worker yet.
///
/// It holds what this process gets through in the time that `claim_ahead` sets, by its pace right now: slow
/// handlers have next to none, and other processes find the jobs. That time bounds what claiming ahead costs: a more
/// urgent job waits so much longer at most. Where a claim itself takes longer than a quarter of it, the time is four times
/// what the last one took: the next is made when half is left, so its jobs are there in time, and no more than half of the
/// time goes into claims. Many processes on few cores would else make ever smaller ones.
#[derive(Debug)]
pub(crate) struct Ahead {
    jobs: VecDeque<(Instant, Reserved)>,
    set: Duration,
    time: Duration,
    longest: Duration,
    most: usize,
    /// Jobs that ended since, and at what pace a second before.
    ended: usize,
    since: Instant,
    pace: f64,
    /// The last claim found less than it wanted, so there is nothing to claim for its own sake.
    dry: bool,
}

impl Ahead {
    /// A stock for workers that run `max_demand` jobs at a time; what is claimed is taken back after `hold`.
    pub(crate) fn new(time: Duration, hold: Duration, max_demand: usize, now: Instant) -> Self {
        let most = max_demand.saturating_mul(MOST);
        // What has waited too long is found within twice the patience, and has to go back before the hold lapses.
        let longest = (time * STRETCH).min(LONGEST_AHEAD).min(hold / (4 * PATIENCE)).max(time);
        Self { jobs: VecDeque::new(), set: time, time, longest, most, ended: 0, since: now, pace: 0.0, dry: true }
    }

    /// How many to claim for workers that have room for so many more than there are; none if what is here will do.
    pub(crate) fn shortfall(&mut self, room: usize, now: Instant) -> usize {
        // Who has to ask anyway may as well bring more at once, whatever the last claim found.
        let stock = if self.dry && room == 0 { 0 } else { self.target(now) };
        let (wanted, here) = (room + stock, self.jobs.len());
        // Half of the stock is there: the next claim may as well bring more at once.
        if here >= room + stock.div_ceil(2) { 0 } else { wanted - here }
    }

    fn target(&mut self, now: Instant) -> usize {
        let passed = now.duration_since(self.since);
        if passed >= WINDOW {
            self.pace = self.ended as f64 / passed.as_secs_f64();
            (self.ended, self.since) = (0, now);
        }
        ((self.pace * self.time.as_secs_f64()) as usize).min(self.most)
    }

    /// Takes in what a claim brought that took so long; `full` if it found all it wanted.
    pub(crate) fn put(&mut self, claimed: Vec<Reserved>, full: bool, took: Duration, now: Instant) {
        self.dry = !full;
        // What is here was claimed for the time before, so that may not shrink at once.
        self.time = (CLAIMS * took).max(self.time / 2).clamp(self.set, self.longest);
        self.sort_in(claimed, now);
    }

    /// The next to perform.
    pub(crate) fn take(&mut self) -> Option<Reserved> {
        self.jobs.pop_front().map(|(_, job)| job)
    }

    /// Puts those back that no worker took.
    pub(crate) fn put_back(&mut self, jobs: Vec<Reserved>, now: Instant) {
        self.sort_in(jobs, now);
    }

    /// What is more urgent comes first, whichever claim brought it.
    fn sort_in(&mut self, jobs: Vec<Reserved>, now: Instant) {
        self.jobs.extend(jobs.into_iter().map(|job| (now, job)));
        self.jobs.make_contiguous().sort_by_key(|(_, job)| (job.priority, job.schedule, job.id));
    }

    /// Workers have ended so many jobs: what the pace is made of.
    pub(crate) fn ended(&mut self, jobs: usize) {
        self.ended += jobs;
    }

    /// There may be more than the last claim found.
    pub(crate) fn refresh(&mut self) {
        self.dry = false;
    }

    /// The jobs that are here.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.jobs.iter().map(|(_, job)| job.id).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// After how long to ask for what is [`overdue`](Ahead::overdue).
    pub(crate) fn patience(&self) -> Duration {
        self.time * PATIENCE
    }

    /// What has waited for too long, for the workers have become slower than they were.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<i64> {
        let patience = self.patience();
        if self.jobs.iter().all(|(since, _)| now.duration_since(*since) < patience) {
            return Vec::new();
        }
        self.dry = true;
        self.pace = 0.0;
        self.jobs.drain(..).map(|(_, job)| job.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::RawParams;

    const TIME: Duration = Duration::from_millis(20);

    const HOLD: Duration = Duration::from_secs(60);

    /// What a claim takes that need not be looked after.
    const QUICK: Duration = Duration::from_millis(2);

    fn job(id: i64, priority: i32) -> Reserved {
        let at = chrono::DateTime::UNIX_EPOCH;
        Reserved {
            id,
            lease: 0,
            kind: None,
            attempt: 0,
            max_attempts: 5,
            priority,
            schedule: at,
            inserted_at: at,
            notify: None,
            params: RawParams::Json("{}".to_owned()),
            began: None,
        }
    }

    fn jobs(ids: std::ops::Range<i64>) -> Vec<Reserved> {
        ids.map(|id| job(id, 0)).collect()
    }

    /// A stock whose workers have ended so many jobs in the last 20 ms.
    fn at_pace(ended: usize, max_demand: usize) -> (Ahead, Instant) {
        let begun = Instant::now();
        let mut ahead = Ahead::new(TIME, HOLD, max_demand, begun);
        ahead.refresh();
        ahead.ended(ended);
        (ahead, begun + WINDOW)
    }

    #[test]
    fn an_idle_process_claims_for_the_room_it_has_and_no_more() {
        let now = Instant::now();
        let mut ahead = Ahead::new(TIME, HOLD, 100, now);

        assert_eq!(ahead.shortfall(7, now), 7);
        assert_eq!(ahead.shortfall(0, now), 0);
    }

    #[test]
    fn a_busy_process_claims_what_it_gets_through_in_the_time_set() {
        let (mut ahead, now) = at_pace(200, 100);

        assert_eq!(ahead.shortfall(10, now), 210);
        ahead.put(jobs(0..150), true, QUICK, now);
        assert_eq!(ahead.shortfall(10, now), 0, "half of it is enough for now");
    }

    #[test]
    fn more_is_claimed_ahead_where_claims_are_slow_but_not_without_end() {
        for (took, stock) in [(5, 200), (10, 400), (25, 1_000), (5_000, 2_000)] {
            let (mut ahead, now) = at_pace(200, 1_000);
            ahead.put(Vec::new(), true, Duration::from_millis(took), now);

            assert_eq!(ahead.shortfall(10, now), 10 + stock, "{took} ms");
            assert_eq!(ahead.patience().as_millis(), u128::try_from(stock / 2).unwrap(), "{took} ms");
        }
        let (mut short, now) = (Ahead::new(TIME, Duration::from_secs(1), 100, Instant::now()), Instant::now());
        short.put(Vec::new(), true, Duration::from_secs(1), now);
        assert_eq!(short.patience().as_millis(), 250, "what is held for a second is not kept for one");
        let (mut off, now) = (Ahead::new(Duration::ZERO, HOLD, 100, Instant::now()), Instant::now() + WINDOW);
        off.ended(200);
        off.put(Vec::new(), true, Duration::from_secs(1), now);
        assert_eq!(off.shortfall(10, now), 10, "who claims nothing ahead does not do so for a slow database");
    }

    #[test]
    fn what_was_claimed_for_a_long_time_is_not_overdue_because_the_next_claim_was_quick() {
        let (mut ahead, now) = at_pace(200, 100);
        ahead.put(Vec::new(), true, Duration::from_millis(100), now);
        ahead.put(jobs(0..1_000), true, QUICK, now);

        assert_eq!(ahead.overdue(now + TIME * 10), Vec::<i64>::new(), "they are worth 100 ms to 200 ms");
        assert_eq!(ahead.overdue(now + ahead.patience()).len(), 1_000);
    }

    #[test]
    fn what_workers_refuse_comes_in_its_order_again() {
        let (mut ahead, now) = at_pace(200, 100);
        ahead.put(jobs(1..8), true, QUICK, now);
        let (mut odd, mut even) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            odd.extend(ahead.take());
            even.extend(ahead.take());
        }

        ahead.put_back(odd.into_iter().chain(even).collect(), now);

        assert_eq!(ahead.ids(), (1..8).collect::<Vec<_>>());
    }

    #[test]
    fn slow_handlers_have_nothing_claimed_ahead() {
        let (mut ahead, _) = at_pace(1, 100);
        let later = ahead.since + Duration::from_secs(1);

        assert_eq!(ahead.shortfall(1, later), 1);
    }

    #[test]
    fn no_pace_claims_more_than_so_many_times_max_demand() {
        let (mut ahead, now) = at_pace(100_000, 4);

        assert_eq!(ahead.shortfall(0, now), 40);
    }

    #[test]
    fn nothing_is_claimed_ahead_of_an_empty_queue() {
        let (mut ahead, now) = at_pace(200, 100);
        ahead.put(jobs(0..5), false, QUICK, now);

        assert_eq!(ahead.shortfall(0, now), 0);
        assert_eq!(ahead.shortfall(6, now), 201, "who claims anyway claims ahead too");
        ahead.refresh();
        assert_eq!(ahead.shortfall(0, now), 195);
    }

    #[test]
    fn a_more_urgent_job_overtakes_what_was_claimed_before_it() {
        let now = Instant::now();
        let mut ahead = Ahead::new(TIME, HOLD, 100, now);
        ahead.put(vec![job(1, 5), job(2, 5)], true, QUICK, now);
        ahead.put(vec![job(3, 0), job(4, 5)], true, QUICK, now);

        let order: Vec<_> = std::iter::from_fn(|| ahead.take()).map(|job| job.id).collect();

        assert_eq!(order, [3, 1, 2, 4]);
    }

    #[test]
    fn what_nobody_takes_in_time_goes_back() {
        let (mut ahead, now) = at_pace(200, 100);
        ahead.put(jobs(1..3), true, QUICK, now);

        assert_eq!(ahead.overdue(now + TIME), Vec::<i64>::new());
        assert_eq!(ahead.overdue(now + ahead.patience()), [1, 2]);
        assert!(ahead.is_empty());
        assert_eq!(ahead.shortfall(0, now + ahead.patience()), 0);
    }
}
