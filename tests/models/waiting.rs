//! Two producers that come to rest beside two transactions that insert a job each and announce it only to those who
//! wait. The steps by which a producer comes to rest are the library's own code.
//!
//! | action | stands for |
//! | --- | --- |
//! | `Begin`, `Write`, `Test`, `Commit`, `End` | a transaction: its snapshot, the table's lock, the trigger `job_queue_inserted`, what makes its job seen, what frees its locks and sends its notification |
//! | `Claim`, `Claimed` | `claim.sql`, and its answer |
//! | `Serve` | on the connection that listens, one after the other: `wait.sql`, then `horizon.sql`; `horizon.sql` again; `unwait.sql` |
//! | `Refuse` | `wait.sql`, while somebody has the key to itself for the length of an expression |
//! | `Answer`, `Hear`, `Fire`, `Retry` | what the producer is told by these answers, by the signal of the connection, by its timers |
//! | `Lose`, `Reconnect` | the end of the connection, and another that LISTENs |
//! | `Vacate` | the end of a job that the producer's only worker is busy with |
//! | `Hurry`, `Resume` | an answer to a claim in a rush or before a backlog, as `Claimed`, and the look after the pause that follows |
//!
//! Polls and the look that follows every claim half of `dead_after` later are left out: nothing here may need them. A
//! process that dies in the middle of a claim does, so no process dies here.

use std::collections::VecDeque;

use stateright::{Model, Property};

use super::{breaks, database::Horizon, holds};

#[allow(dead_code)]
#[path = "../../src/run/waiting.rs"]
mod code;

use code::{Answered, Next, Waiting};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    AsBuilt,
    LooksBeforeItListens,
    DoesNotLookBehindTheLock,
    MarksBeforeItLocks,
    DoesNotWaitForWriters,
    DoesNotHearOfAnotherConnection,
    InsertsSeeWaitersInTheirSnapshot,
    DoesNotLookInARush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    /// Has a snapshot, in which somebody waits or not; of no interest but to those who look there.
    Begun {
        saw: bool,
    },
    /// Holds the table's lock.
    Writing {
        saw: bool,
    },
    Tested {
        notifies: bool,
    },
    /// Its job is seen, and its locks are held still.
    Committed {
        notifies: bool,
    },
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Claim {
    None,
    Sent { wanted: usize },
    Done { wanted: usize, found: usize },
}

type Mark = Vec<String>;

/// What waits to be served on the connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Command {
    Lock(u64),
    /// Behind the lock; or before it, if that is still to come.
    Mark(u64),
    MarkThenLock(u64),
    Look(u64, Mark),
    Unlock,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Producer {
    waiting: Waiting,
    /// For how many jobs its only worker has room.
    room: usize,
    claim: Claim,
    again: bool,
    /// The connection that listens as the producer is told of it, and whether there is news.
    signal: (Option<u64>, bool),
    /// The connection as it is, and whether it hears notifications already.
    connection: Option<u64>,
    listens: bool,
    connections: u64,
    locked: bool,
    commands: VecDeque<Command>,
    answers: VecDeque<(u64, Option<Mark>)>,
    /// Marks that were taken before the lock was.
    early: Option<Mark>,
    timers: Vec<(u64, Mark)>,
    retry: bool,
    /// In a rush, until the next look.
    pausing: bool,
    /// The pauses that are still to come.
    pauses: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    writers: Vec<Writer>,
    /// The jobs that nobody has claimed.
    unclaimed: Vec<bool>,
    producers: Vec<Producer>,
    faults: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Begin(usize),
    Write(usize),
    Test(usize),
    Commit(usize),
    End(usize),
    Claim(usize),
    Claimed(usize),
    Serve(usize),
    Refuse(usize),
    Answer(usize),
    Hear(usize),
    Fire(usize),
    Retry(usize),
    Listen(usize),
    Lose(usize),
    Reconnect(usize),
    Vacate(usize),
    Hurry(usize),
    Resume(usize),
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    rules: Rules,
    producers: usize,
    /// How many jobs each of them has room for at first.
    room: usize,
    writers: usize,
    /// The connections that are lost and the locks that are refused, all in all.
    faults: u8,
    /// How often each producer pauses in a rush.
    pauses: u8,
}

impl Producer {
    fn new(room: usize, pauses: u8) -> Self {
        Self {
            waiting: Waiting::default(),
            room,
            claim: Claim::None,
            again: false,
            signal: (Some(1), true),
            connection: Some(1),
            listens: true,
            connections: 1,
            locked: false,
            commands: VecDeque::new(),
            answers: VecDeque::new(),
            early: None,
            timers: Vec::new(),
            retry: false,
            pausing: false,
            pauses,
        }
    }

    fn claim(&mut self) {
        if self.room == 0 {
            return;
        }
        if self.claim == Claim::None {
            (self.claim, self.again) = (Claim::Sent { wanted: self.room }, false);
            self.waiting.stir();
        } else {
            self.again = true;
        }
    }

    fn send(&mut self, command: Command) {
        if self.connection.is_some() {
            self.commands.push_back(command);
        } else {
            self.answer_none(command);
        }
    }

    fn answer_none(&mut self, command: Command) {
        match command {
            Command::Lock(question)
            | Command::Mark(question)
            | Command::MarkThenLock(question)
            | Command::Look(question, _) => self.answers.push_back((question, None)),
            Command::Unlock => {}
        }
    }

    /// Nothing will have it claim but a notification.
    fn rests(&self) -> bool {
        self.room > 0
            && self.claim == Claim::None
            && self.answers.is_empty()
            && self.timers.is_empty()
            && !self.retry
            && !self.pausing
            && !self.signal.1
            && self.connection.is_some()
            && self.commands.iter().all(|command| *command == Command::Unlock)
    }
}

impl State {
    fn somebody_waits(&self) -> bool {
        self.producers.iter().any(|producer| producer.locked)
    }

    /// The transactions that hold the table's lock.
    fn under_way(&self) -> Mark {
        let holds = |writer: &Writer| !matches!(writer, Writer::Idle | Writer::Begun { .. } | Writer::Ended);
        (0..self.writers.len()).filter(|w| holds(&self.writers[*w])).map(|w| w.to_string()).collect()
    }

    fn seen(&self, writer: usize) -> bool {
        self.unclaimed[writer] && matches!(self.writers[writer], Writer::Committed { .. } | Writer::Ended)
    }

    fn notification_is_on_its_way(&self) -> bool {
        self.writers.contains(&Writer::Committed { notifies: true })
    }

    fn forgotten(&self) -> bool {
        let seen = (0..self.writers.len()).any(|writer| self.seen(writer));
        seen && !self.notification_is_on_its_way() && self.producers.iter().any(Producer::rests)
    }
}

impl Rest {
    fn mark(&self, state: &State) -> Mark {
        if self.rules == Rules::DoesNotWaitForWriters { Mark::new() } else { state.under_way() }
    }

    fn serve(&self, state: &mut State, p: usize) -> Option<()> {
        let under_way = self.mark(state);
        let producer = &mut state.producers[p];
        match producer.commands.pop_front()? {
            Command::Lock(question) => {
                producer.locked = true;
                match producer.early.take() {
                    Some(mark) => producer.answers.push_back((question, Some(mark))),
                    None => producer.commands.push_front(Command::Mark(question)),
                }
            }
            Command::Mark(question) => producer.answers.push_back((question, Some(under_way))),
            Command::MarkThenLock(question) => {
                producer.early = Some(under_way);
                producer.commands.push_front(Command::Lock(question));
            }
            Command::Look(question, mark) => {
                let left: Mark = mark.iter().filter(|number| under_way.contains(number)).cloned().collect();
                if left == mark {
                    // It would only be asked again.
                    return None;
                }
                producer.answers.push_back((question, Some(left)));
            }
            Command::Unlock => producer.locked = false,
        }
        Some(())
    }

    fn write(&self, state: &mut State, action: Action) -> Option<()> {
        let waits = state.somebody_waits();
        let by_snapshot = self.rules == Rules::InsertsSeeWaitersInTheirSnapshot;
        let (w, next) = match action {
            Action::Begin(w) if by_snapshot && state.writers[w] == Writer::Idle => (w, Writer::Begun { saw: waits }),
            Action::Write(w) => match state.writers[w] {
                Writer::Idle if !by_snapshot => (w, Writer::Writing { saw: false }),
                Writer::Begun { saw } => (w, Writer::Writing { saw }),
                _ => return None,
            },
            Action::Test(w) => match state.writers[w] {
                Writer::Writing { saw } => (w, Writer::Tested { notifies: if by_snapshot { saw } else { waits } }),
                _ => return None,
            },
            Action::Commit(w) => match state.writers[w] {
                Writer::Tested { notifies } => (w, Writer::Committed { notifies }),
                _ => return None,
            },
            Action::End(w) => match state.writers[w] {
                Writer::Committed { notifies } => {
                    let hear =
                        state.producers.iter_mut().filter(|it| notifies && it.connection.is_some() && it.listens);
                    hear.for_each(|producer| producer.signal.1 = true);
                    (w, Writer::Ended)
                }
                _ => return None,
            },
            _ => return None,
        };
        state.writers[w] = next;
        Some(())
    }

    fn wait(&self, producer: &mut Producer) {
        match producer.waiting.after_short_claim() {
            Next::Rest => {}
            Next::Announce { question } if self.rules == Rules::MarksBeforeItLocks => {
                producer.send(Command::MarkThenLock(question));
            }
            Next::Announce { question } => producer.send(Command::Lock(question)),
            Next::LookAgain { question, mark, .. } => producer.timers.push((question, mark)),
        }
    }

    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Begin(_) | Action::Write(_) | Action::Test(_) | Action::Commit(_) | Action::End(_) => {
                self.write(state, action)?;
            }
            Action::Claim(p) => {
                let Claim::Sent { wanted } = state.producers[p].claim else { return None };
                let jobs: Vec<_> = (0..self.writers).filter(|writer| state.seen(*writer)).take(wanted).collect();
                state.producers[p].claim = Claim::Done { wanted, found: jobs.len() };
                jobs.iter().for_each(|job| state.unclaimed[*job] = false);
            }
            Action::Claimed(p) | Action::Hurry(p) => {
                let producer = &mut state.producers[p];
                let Claim::Done { wanted, found } = producer.claim else { return None };
                producer.claim = Claim::None;
                producer.room -= found;
                if producer.room == 0 && producer.waiting.stop() {
                    producer.send(Command::Unlock);
                }
                let hurried = matches!(action, Action::Hurry(_));
                if hurried {
                    producer.pauses = producer.pauses.checked_sub(1)?;
                    if producer.waiting.stop() {
                        producer.send(Command::Unlock);
                    }
                }
                if hurried && found < wanted {
                    producer.pausing = self.rules != Rules::DoesNotLookInARush;
                } else if found == wanted || producer.again {
                    producer.claim();
                } else {
                    self.wait(producer);
                }
            }
            Action::Vacate(p) => {
                let producer = &mut state.producers[p];
                if producer.room == self.room {
                    return None;
                }
                producer.room += 1;
                if !producer.waiting.is_at_rest() && !producer.pausing {
                    producer.claim();
                }
            }
            Action::Resume(p) => {
                let producer = &mut state.producers[p];
                if !std::mem::take(&mut producer.pausing) {
                    return None;
                }
                producer.claim();
            }
            Action::Serve(p) => self.serve(state, p)?,
            Action::Refuse(p) => {
                state.faults = state.faults.checked_sub(1)?;
                let producer = &mut state.producers[p];
                let Some(Command::Lock(question)) = producer.commands.front() else { return None };
                producer.answers.push_back((*question, None));
                producer.early = None;
                producer.commands.pop_front();
            }
            Action::Answer(p) => {
                let producer = &mut state.producers[p];
                let (question, mark) = producer.answers.pop_front()?;
                match producer.waiting.answered(question, mark.map(|under_way| Horizon { under_way })) {
                    Answered::Claim if self.rules == Rules::DoesNotLookBehindTheLock => {}
                    Answered::Claim => producer.claim(),
                    Answered::Later(_) => producer.retry = true,
                    Answered::Stale => {}
                }
            }
            Action::Hear(p) => {
                let producer = &mut state.producers[p];
                if !std::mem::take(&mut producer.signal.1) {
                    return None;
                }
                producer.waiting.listening_on(producer.signal.0);
                if !producer.pausing {
                    producer.claim();
                }
            }
            Action::Fire(p) => {
                let producer = &mut state.producers[p];
                let (question, mark) = producer.timers.pop()?;
                producer.send(Command::Look(question, mark));
            }
            Action::Retry(p) => {
                let producer = &mut state.producers[p];
                // The signal is heard long before.
                if producer.signal.1 || !std::mem::take(&mut producer.retry) {
                    return None;
                }
                producer.claim();
            }
            Action::Lose(p) => {
                let producer = &mut state.producers[p];
                producer.connection.take()?;
                state.faults = state.faults.checked_sub(1)?;
                if self.rules == Rules::DoesNotHearOfAnotherConnection {
                    producer.signal.1 = false;
                } else {
                    producer.signal = (None, true);
                }
                (producer.locked, producer.early) = (false, None);
                for command in std::mem::take(&mut producer.commands) {
                    producer.answer_none(command);
                }
            }
            Action::Reconnect(p) => {
                let producer = &mut state.producers[p];
                if producer.connection.is_some() {
                    return None;
                }
                producer.connections += 1;
                producer.connection = Some(producer.connections);
                producer.listens = self.rules != Rules::LooksBeforeItListens;
                if self.rules != Rules::DoesNotHearOfAnotherConnection {
                    producer.signal = (producer.connection, true);
                }
            }
            Action::Listen(p) => {
                let producer = &mut state.producers[p];
                if producer.listens || producer.connection.is_none() {
                    return None;
                }
                producer.listens = true;
            }
        }
        Some(())
    }
}

const NOT_FORGOTTEN: &str = "no producer rests beside a job that nothing will tell it of";
const FOUND: &str = "every job is claimed in the end";

impl Model for Rest {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            writers: vec![Writer::Idle; self.writers],
            unclaimed: vec![true; self.writers],
            producers: vec![Producer::new(self.room, self.pauses); self.producers],
            faults: self.faults,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        use Action::*;
        let of_writers = [Begin, Write, Test, Commit, End];
        let of_producers =
            [Claim, Claimed, Serve, Refuse, Answer, Hear, Fire, Retry, Listen, Lose, Reconnect, Vacate, Hurry, Resume];
        actions.extend(of_writers.iter().flat_map(|action| (0..self.writers).map(action)));
        actions.extend(of_producers.iter().flat_map(|action| (0..self.producers).map(action)));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.act(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let happens = |name, condition| Property::<Self>::sometimes(name, condition);
        let mut properties = vec![
            Property::always(NOT_FORGOTTEN, |_, state: &State| !state.forgotten()),
            Property::always(FOUND, |model: &Self, state: &State| {
                !state.unclaimed.contains(&true) || !model.next_states(state).is_empty()
            }),
            happens("both rest, and inserts see it", |_, state| {
                state.producers.iter().all(|producer| producer.rests() && producer.locked)
            }),
            happens("a job is announced", |_, state| state.notification_is_on_its_way()),
            happens("a job is not announced, and nobody rests", |_, state| {
                state.writers.contains(&Writer::Committed { notifies: false })
                    && state.producers.iter().all(|producer| !producer.rests())
            }),
            happens("a producer waits for a transaction to end", |_, state| {
                state.producers.iter().any(|producer| producer.locked && !producer.timers.is_empty())
            }),
            happens("a busy producer gives its lock back", |_, state| {
                state.producers.iter().any(|producer| producer.locked && producer.commands.contains(&Command::Unlock))
            }),
        ];
        if self.pauses > 0 {
            properties
                .push(happens("a producer that waits pauses in a rush, and lets inserts be silent", |_, state| {
                    state.producers.iter().any(|producer| producer.pausing && producer.locked)
                }));
        }
        if self.faults > 0 {
            properties.push(happens("a lock is taken again on another connection", |_, state| {
                state.producers.iter().any(|producer| producer.locked && producer.connection == Some(2))
            }));
        }
        properties
    }
}

#[test]
fn a_committed_job_is_claimed_or_announced_to_every_producer_that_rests() {
    let one = Rest { rules: Rules::AsBuilt, producers: 1, room: 1, writers: 1, faults: 2, pauses: 1 };
    holds(Rest { writers: 2, faults: 0, ..one });
    holds(Rest { producers: 2, faults: 0, pauses: 0, ..one });
    holds(Rest { room: 2, writers: 2, faults: 0, ..one });
    holds(Rest { room: 2, writers: 2, faults: 1, pauses: 0, ..one });
    holds(one);
}

#[test]
fn every_step_on_the_way_to_rest_is_needed() {
    for rules in [
        Rules::LooksBeforeItListens,
        Rules::DoesNotLookBehindTheLock,
        Rules::MarksBeforeItLocks,
        Rules::DoesNotWaitForWriters,
        Rules::DoesNotHearOfAnotherConnection,
        Rules::InsertsSeeWaitersInTheirSnapshot,
        Rules::DoesNotLookInARush,
    ] {
        breaks(Rest { rules, producers: 1, room: 1, writers: 1, faults: 1, pauses: 1 }, NOT_FORGOTTEN);
    }
}
