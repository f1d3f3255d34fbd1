//! A producer, its workers and the supervisor that replaces them: who may be given how many jobs. The producer's
//! account of what is asked for is the library's own code.
//!
//! | action | stands for |
//! | --- | --- |
//! | `Claim`, `Claimed` | `claim.sql`, for what is asked for and perhaps one ahead; its answer, and what is given then |
//! | `Overdue`, `GiveBackAll` | `unreserve.sql`, of what was claimed ahead for too long, and of everything at a producer's start |
//! | `LateClaim` | `claim.sql` that the server gets to when its producer has died |
//! | `Produce`, `Work`, `Supervise` | the next message of the producer, a worker, the supervisor |
//! | `Start` | `turn.sql` for one of the jobs that a worker holds: without it, when it is reserved no longer, the slot is free at once |
//! | `Enter`, `HandIn`, `Finish` | its handler begins, hands the removal in and with it the slot, ends; or ends and leaves the slot then |
//! | `GoBack`, `Clear` | a started job whose handler may not begin, and its slot once another could |
//! | `Die`, `DieWorking` | a panic in the producer or a worker; what the worker had started is settled on its behalf |
//! | `Lapse` | `sweep.sql`, of a reservation that nobody in the process knows of |

use std::collections::VecDeque;

use stateright::{Model, Property};

use super::{breaks, holds};

#[allow(dead_code)]
#[path = "../../src/run/demand.rs"]
mod code;

use code::{Demands, WorkerId};

const JOBS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    AsBuilt,
    NoEpoch,
    DeadWorkersShareStays,
    AsksTwiceForASlot,
    TellsBusySlotsToo,
    EntersAtOnce,
    LeavesTwice,
    NobodyIsAskedAgain,
    NothingIsGivenBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Job {
    Available,
    Reserved,
    Started,
    Done,
}

/// How far a worker is with a job that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Given,
    Started,
    /// Its handler runs.
    Entered,
    /// The same, and its slot is another's.
    HandedIn,
    WentBack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ToProducer {
    Demand { worker: WorkerId, epoch: u8, jobs: usize },
    Forget(WorkerId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ToWorker {
    Perform(usize),
    Vacated,
    Ask(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Died {
    Producer,
    Worker(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Producer {
    alive: bool,
    demands: Demands<()>,
    /// Wanted of the server, which has not answered.
    claiming: Option<usize>,
    /// Claimed, and given to nobody yet.
    stock: VecDeque<usize>,
    mailbox: VecDeque<ToProducer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Worker {
    id: WorkerId,
    alive: bool,
    epoch: u8,
    busy: usize,
    /// Slots that were vacated and not asked for since; the first of them has sent `Vacated`.
    left: usize,
    held: Vec<(usize, Step)>,
    mailbox: VecDeque<ToWorker>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    jobs: [Job; JOBS],
    /// The newest; messages to the producer go to it, and are lost if it is dead.
    producer: Producer,
    epoch: u8,
    workers: Vec<Worker>,
    last_worker: u64,
    supervisor: VecDeque<Died>,
    /// What a producer has sent to the server that is not done yet.
    gives_back_all: bool,
    late_claim: usize,
    /// It has reserved jobs of which nobody knows; they lapse.
    strays: bool,
    deaths: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Claim { ahead: usize },
    Claimed,
    LateClaim,
    Overdue,
    GiveBackAll,
    Produce,
    Work(usize),
    Supervise,
    Start(usize, usize),
    Enter(usize, usize),
    HandIn(usize, usize),
    Finish(usize, usize),
    GoBack(usize, usize),
    Clear(usize, usize),
    Die,
    DieWorking(usize),
    Lapse(usize),
}

#[derive(Debug)]
struct Room {
    rules: Rules,
    slots: Vec<usize>,
    deaths: u8,
}

impl Producer {
    fn new() -> Self {
        let (stock, mailbox) = (VecDeque::new(), VecDeque::new());
        Self { alive: true, demands: Demands::new(), claiming: None, stock, mailbox }
    }

    fn send(&mut self, message: ToProducer) {
        if self.alive {
            self.mailbox.push_back(message);
        }
    }
}

impl Worker {
    fn new(id: u64, epoch: u8) -> Self {
        let mailbox = VecDeque::from([ToWorker::Ask(epoch)]);
        Self { id: WorkerId(id), alive: true, epoch: 0, busy: 0, left: 0, held: Vec::new(), mailbox }
    }

    fn vacate(&mut self) {
        self.left += 1;
        if self.left == 1 {
            self.mailbox.push_back(ToWorker::Vacated);
        }
    }

    fn leave(&mut self) -> usize {
        let left = std::mem::take(&mut self.left);
        self.busy = self.busy.saturating_sub(left);
        left
    }
}

impl State {
    /// Whether anybody in the process knows of the job's reservation.
    fn is_carried(&self, job: usize) -> bool {
        let stock = self.producer.alive && self.producer.stock.contains(&job);
        let carries = |worker: &Worker| {
            worker.alive
                && (worker.held.contains(&(job, Step::Given)) || worker.mailbox.contains(&ToWorker::Perform(job)))
        };
        stock || self.workers.iter().any(carries)
    }

    fn reserve(&mut self, most: usize) -> Vec<usize> {
        let available = (0..JOBS).filter(|job| self.jobs[*job] == Job::Available).take(most).collect::<Vec<_>>();
        available.iter().for_each(|job| self.jobs[*job] = Job::Reserved);
        available
    }

    fn unreserve(&mut self, job: usize) {
        if self.jobs[job] == Job::Reserved {
            self.jobs[job] = Job::Available;
        }
    }

    /// The place of a job that a living worker holds.
    fn place(&self, seat: usize, held: (usize, Step)) -> Option<usize> {
        let worker = &self.workers[seat];
        worker.held.iter().position(|it| *it == held).filter(|_| worker.alive)
    }

    /// How many handlers of a worker run.
    fn inside(&self, seat: usize) -> usize {
        let inside = |(_, step): &&(usize, Step)| matches!(step, Step::Entered | Step::HandedIn);
        self.workers[seat].held.iter().filter(inside).count()
    }

    fn vacate(&mut self, seat: usize, place: usize) {
        self.workers[seat].held.remove(place);
        self.workers[seat].vacate();
    }

    /// What is asked for, is being asked for, and is taken makes up all the room there is.
    fn adds_up(&self, slots: &[usize]) -> bool {
        let settled = self.producer.alive
            && self.supervisor.is_empty()
            && self.workers.iter().all(|worker| worker.alive && worker.epoch == self.epoch)
            && !self.producer.mailbox.iter().any(|message| matches!(message, ToProducer::Forget(_)));
        let asking = |message: &ToProducer| match message {
            ToProducer::Demand { epoch, jobs, .. } if *epoch == self.epoch => *jobs,
            _ => 0,
        };
        let taken = |worker: &Worker| {
            let performs = worker.mailbox.iter().filter(|message| matches!(message, ToWorker::Perform(_)));
            worker.busy + performs.count()
        };
        let asked: usize = self.producer.demands.total() + self.producer.mailbox.iter().map(asking).sum::<usize>();
        !settled || asked + self.workers.iter().map(taken).sum::<usize>() == slots.iter().sum::<usize>()
    }
}

impl Room {
    fn give(&self, state: &mut State) {
        while !state.producer.stock.is_empty()
            && let Some(id) = state.producer.demands.take()
            && let Some(job) = state.producer.stock.pop_front()
        {
            match state.workers.iter_mut().find(|worker| worker.id == id && worker.alive) {
                Some(worker) => worker.mailbox.push_back(ToWorker::Perform(job)),
                None => {
                    state.producer.demands.forget(id);
                    state.producer.stock.push_front(job);
                }
            }
        }
    }

    fn demand(&self, state: &mut State, seat: usize, jobs: usize) {
        let Worker { id, epoch, .. } = state.workers[seat];
        state.producer.send(ToProducer::Demand { worker: id, epoch, jobs });
    }

    fn work(&self, state: &mut State, seat: usize) -> Option<()> {
        let worker = &mut state.workers[seat];
        match worker.mailbox.pop_front().filter(|_| worker.alive)? {
            ToWorker::Perform(job) => {
                worker.busy += 1;
                worker.held.push((job, Step::Given));
            }
            ToWorker::Vacated => {
                let left = worker.leave();
                if left > 0 {
                    self.demand(state, seat, if self.rules == Rules::AsksTwiceForASlot { 2 * left } else { left });
                }
            }
            ToWorker::Ask(epoch) => {
                worker.epoch = epoch;
                worker.leave();
                let busy = if self.rules == Rules::TellsBusySlotsToo { 0 } else { worker.busy };
                self.demand(state, seat, self.slots[seat].saturating_sub(busy));
            }
        }
        Some(())
    }

    fn supervise(&self, state: &mut State) -> Option<()> {
        match state.supervisor.pop_front()? {
            Died::Producer => {
                state.epoch += 1;
                state.producer = Producer::new();
                state.gives_back_all |= self.rules != Rules::NothingIsGivenBack;
                let epoch = state.epoch;
                let asked = state.workers.iter_mut().filter(|it| it.alive && self.rules != Rules::NobodyIsAskedAgain);
                asked.for_each(|worker| worker.mailbox.push_back(ToWorker::Ask(epoch)));
            }
            Died::Worker(seat) => {
                if self.rules != Rules::DeadWorkersShareStays {
                    let id = state.workers[seat].id;
                    state.producer.send(ToProducer::Forget(id));
                }
                state.last_worker += 1;
                state.workers[seat] = Worker::new(state.last_worker, state.epoch);
            }
        }
        Some(())
    }

    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Claim { ahead } => {
                let Producer { alive, claiming, demands, stock, .. } = &mut state.producer;
                let wanted = (demands.total() + ahead).checked_sub(stock.len()).filter(|wanted| *wanted > 0)?;
                let any = state.jobs.contains(&Job::Available);
                if !*alive || claiming.is_some() || !any {
                    return None;
                }
                *claiming = Some(wanted);
            }
            Action::Claimed => {
                let wanted = state.producer.claiming.take()?;
                let claimed = state.reserve(wanted);
                state.producer.stock.extend(claimed);
                self.give(state);
            }
            Action::LateClaim => {
                let wanted = std::mem::take(&mut state.late_claim);
                if wanted == 0 {
                    return None;
                }
                state.strays |= !state.reserve(wanted).is_empty();
            }
            Action::Overdue => {
                let stock = std::mem::take(&mut state.producer.stock);
                if !state.producer.alive || stock.is_empty() {
                    return None;
                }
                stock.into_iter().for_each(|job| state.unreserve(job));
            }
            Action::GiveBackAll => {
                if !std::mem::take(&mut state.gives_back_all) {
                    return None;
                }
                (0..JOBS).for_each(|job| state.unreserve(job));
            }
            Action::Produce => match state.producer.mailbox.pop_front()? {
                ToProducer::Forget(worker) => state.producer.demands.forget(worker),
                ToProducer::Demand { worker, epoch, jobs } => {
                    if epoch == state.epoch || self.rules == Rules::NoEpoch {
                        state.producer.demands.add(worker, jobs, ());
                        self.give(state);
                    }
                }
            },
            Action::Work(seat) => self.work(state, seat)?,
            Action::Supervise => self.supervise(state)?,
            Action::Start(seat, job) => {
                let place = state.place(seat, (job, Step::Given))?;
                if state.jobs[job] == Job::Reserved {
                    state.jobs[job] = Job::Started;
                    state.workers[seat].held[place].1 = Step::Started;
                } else {
                    state.vacate(seat, place);
                }
            }
            Action::Finish(seat, job) => {
                state.jobs[job] = Job::Done;
                if let Some(place) = state.place(seat, (job, Step::Entered)) {
                    state.vacate(seat, place);
                } else {
                    let place = state.place(seat, (job, Step::HandedIn))?;
                    state.workers[seat].held.remove(place);
                    if self.rules == Rules::LeavesTwice {
                        state.workers[seat].vacate();
                    }
                }
            }
            Action::Enter(seat, job) => {
                let place = state.place(seat, (job, Step::Started))?;
                if state.inside(seat) == self.slots[seat] && self.rules != Rules::EntersAtOnce {
                    return None;
                }
                state.workers[seat].held[place].1 = Step::Entered;
            }
            Action::HandIn(seat, job) => {
                let place = state.place(seat, (job, Step::Entered))?;
                state.workers[seat].held[place].1 = Step::HandedIn;
                state.workers[seat].vacate();
            }
            Action::GoBack(seat, job) => {
                let place = state.place(seat, (job, Step::Started))?;
                if state.inside(seat) < self.slots[seat] {
                    return None;
                }
                state.jobs[job] = Job::Available;
                state.workers[seat].held[place].1 = Step::WentBack;
            }
            Action::Clear(seat, job) => {
                let place = state.place(seat, (job, Step::WentBack))?;
                if state.inside(seat) == self.slots[seat] {
                    return None;
                }
                state.vacate(seat, place);
            }
            Action::Die => {
                state.deaths = state.deaths.checked_sub(1).filter(|_| state.producer.alive)?;
                let claiming = state.producer.claiming.unwrap_or(0);
                state.producer = Producer { alive: false, ..Producer::new() };
                state.late_claim += claiming;
                state.supervisor.push_back(Died::Producer);
            }
            Action::DieWorking(seat) => {
                state.deaths = state.deaths.checked_sub(1).filter(|_| state.workers[seat].alive)?;
                let Worker { id, epoch, held, .. } = state.workers[seat].clone();
                for (job, _) in held.into_iter().filter(|(_, step)| !matches!(step, Step::Given | Step::WentBack)) {
                    state.jobs[job] = Job::Available;
                }
                let dead = Worker { alive: false, epoch, mailbox: VecDeque::new(), ..Worker::new(id.0, 0) };
                state.workers[seat] = dead;
                state.supervisor.push_back(Died::Worker(seat));
            }
            Action::Lapse(job) => {
                if state.jobs[job] != Job::Reserved || state.is_carried(job) {
                    return None;
                }
                state.jobs[job] = Job::Available;
            }
        }
        Some(())
    }
}

const BOUNDED: &str = "no worker has more slots taken, or handlers running, than it has slots";
const ADDS_UP: &str = "each free slot is asked for once";
const KNOWN: &str = "what is reserved is known to somebody, unless somebody died";
const DONE: &str = "in the end every job is done and every slot asked for";
const GIVEN_BACK: &str = "what a dead producer had claimed is given back by the next";

impl Model for Room {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            jobs: [Job::Available; JOBS],
            producer: Producer::new(),
            epoch: 1,
            workers: (1..).take(self.slots.len()).map(|id| Worker::new(id, 1)).collect(),
            last_worker: self.slots.len() as u64,
            supervisor: VecDeque::new(),
            gives_back_all: false,
            late_claim: 0,
            strays: false,
            deaths: self.deaths,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        use Action::*;
        let seats = self.slots.len();
        actions.extend([Claim { ahead: 0 }, Claim { ahead: 1 }, Claimed, LateClaim, Overdue, GiveBackAll, Produce]);
        actions.extend([Supervise, Die]);
        actions.extend((0..seats).flat_map(|seat| [Work(seat), DieWorking(seat)]));
        actions.extend((0..JOBS).map(Lapse));
        let of_held = [Start, Enter, HandIn, Finish, GoBack, Clear];
        let held = (0..seats).flat_map(|seat| (0..JOBS).map(move |job| (seat, job)));
        actions.extend(held.flat_map(|(seat, job)| of_held.map(|action| action(seat, job))));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let happens = |name, condition| Property::<Self>::sometimes(name, condition);
        let mut properties = vec![
            Property::always(BOUNDED, |model: &Self, state: &State| {
                let taken = |worker: &Worker| worker.held.iter().filter(|(_, step)| *step != Step::HandedIn).count();
                let bounded = |seat: usize| {
                    taken(&state.workers[seat]) <= model.slots[seat] && state.inside(seat) <= model.slots[seat]
                };
                (0..model.slots.len()).all(bounded)
            }),
            Property::always(ADDS_UP, |model: &Self, state: &State| state.adds_up(&model.slots)),
            Property::always(KNOWN, |model: &Self, state: &State| {
                let died = state.deaths < model.deaths;
                died || (0..JOBS).all(|job| state.jobs[job] != Job::Reserved || state.is_carried(job))
            }),
            Property::always(DONE, |model: &Self, state: &State| {
                let all = state.producer.demands.total() == model.slots.iter().sum::<usize>();
                state.jobs == [Job::Done; JOBS] && all || !model.next_states(state).is_empty()
            }),
            happens("every slot is taken", |model, state| {
                (0..model.slots.len()).all(|seat| state.inside(seat) == model.slots[seat])
            }),
            happens("a job is claimed ahead", |_, state| {
                !state.producer.stock.is_empty() && state.producer.demands.total() == 0
            }),
            happens("a job is held that was given back meanwhile", |_, state| {
                state.workers.iter().any(|it| it.held.iter().any(|(job, _)| state.jobs[*job] == Job::Available))
            }),
            happens("a job is started while the one before it is removed", |_, state| {
                let has = |worker: &Worker, step| worker.held.iter().any(|held| held.1 == step);
                state.workers.iter().any(|worker| has(worker, Step::HandedIn) && has(worker, Step::Started))
            }),
            happens("a demand is told that was meant for another producer", |_, state| {
                let old = |it: &ToProducer| matches!(it, ToProducer::Demand { epoch, .. } if *epoch < state.epoch);
                state.producer.mailbox.iter().any(old)
            }),
        ];
        if self.deaths == 1 {
            // More deaths leave more behind, which lapses.
            properties.push(Property::always(GIVEN_BACK, |_, state: &State| {
                let settled = state.epoch > 1 && !state.gives_back_all && !state.strays;
                !settled || (0..JOBS).all(|job| state.jobs[job] != Job::Reserved || state.is_carried(job))
            }));
        }
        properties
    }
}

#[test]
fn demand_is_told_once_and_bounds_what_runs_whoever_dies() {
    holds(Room { rules: Rules::AsBuilt, slots: vec![1, 1], deaths: 1 });
    holds(Room { rules: Rules::AsBuilt, slots: vec![2], deaths: 2 });
}

#[test]
fn nothing_of_the_account_can_be_left_out() {
    for (rules, property) in [
        (Rules::NoEpoch, BOUNDED),
        (Rules::DeadWorkersShareStays, ADDS_UP),
        (Rules::AsksTwiceForASlot, BOUNDED),
        (Rules::TellsBusySlotsToo, BOUNDED),
        (Rules::EntersAtOnce, BOUNDED),
        (Rules::LeavesTwice, ADDS_UP),
        (Rules::NobodyIsAskedAgain, DONE),
        (Rules::NothingIsGivenBack, GIVEN_BACK),
    ] {
        breaks(Room { rules, slots: vec![1], deaths: 1 }, property);
    }
}
