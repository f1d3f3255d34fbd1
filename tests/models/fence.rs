//! One job and two processes that can both come to hold it: claim, start, completion, settlement, rescue and requeue.
//!
//! | action | stands for |
//! | --- | --- |
//! | `Claim`, `GiveBack` | `claim.sql`, `unreserve.sql` |
//! | `Start`, `StartUnanswered`, `Late`, `Again`, `Found` | `turn.sql` that starts, and `started.sql` where its answer was lost |
//! | `Begin`, `Served`, `Commit`, `Rollback` | `begin_completion.sql`, its wait for the row's lock, the handler's COMMIT and ROLLBACK |
//! | `Remove` | `turn.sql` that removes, with `missed.sql` for what it did not |
//! | `Resolve` | `completion_outcome.sql` |
//! | `Settle` | `settle.sql`, with `missed.sql` |
//! | `Look`, `Take`, `Rescue` | `sweep.sql`: its snapshot, its lock of the row, and both at once |
//! | `ComeDue`, `Requeue` | `sweep.sql`, `requeue.sql` |
//! | `Lapse`, `Silence`, `Beat`, `Crash`, `Cut` | time, `dead_at`, `beat.sql`, the end of a process, that of its connection |
//!
//! A process goes on for as long as it likes after it counts as dead, as one does that was stopped or cut off. It is
//! taken for granted that a start whose connection is lost is done or gone before its process claims that job again.

use stateright::{Model, Property};

use super::{breaks, holds};

const MAX_ATTEMPTS: u8 = 2;
const FAULTS: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    AsBuilt,
    NoFence,
    RowCountsAreNotLookedAt,
    RequeueLowersTheFence,
    RescueTrustsAnOldLook,
    StartIsUnguarded,
    LostCommitCountsAsFailed,
    LooksBeforeItStartsAgain,
    BusyForgetsTheLostAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Available,
    Reserved,
    InProgress,
    /// RETRY or SCHEDULED.
    Waiting,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    stage: Stage,
    attempt: u8,
    lease: u8,
    node: Option<usize>,
    lapsed: bool,
    /// Whose transaction has removed it and not ended yet.
    locked: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Life {
    Alive,
    /// Counts as dead, whatever it does.
    Silent,
    Gone,
}

/// What a process is at with a lease of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Reserved(u8),
    /// The answer to a start was lost: starts once more, and looks what the first has started.
    StartingAgain(u8),
    LookingForStart(u8),
    Running(u8),
    /// In its completion's transaction.
    Completing(u8),
    Committing(u8),
    Resolving(u8),
    /// Hands the job in as done; whether an answer was lost before.
    Removing(u8, bool),
    Settling(u8, Verdict),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verdict {
    Retry,
    Return,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// For the row's lock.
    Waits,
    Open,
    CommitSent,
    Committed,
    Aborted,
}

/// A transaction as the server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Transaction {
    at: At,
    lease: u8,
    removes: bool,
    connected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    life: Life,
    phase: Phase,
    transaction: Option<Transaction>,
    /// A start of this lease, whose answer nobody waits for, may still reach the row.
    late: Option<u8>,
    /// The start that is in effect is this process's.
    holds: bool,
    /// Its transaction has committed the job's removal.
    committed: bool,
}

/// A sweep that has looked and not locked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Look {
    dead: bool,
    /// The hold that it saw is there still.
    current: bool,
}

/// What has just happened, for the properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Nothing,
    Refused,
    RefusedAfterWait,
    FoundStarted,
    FoundCommitted,
    FoundAborted,
    FoundRemoved,
    FailedByRescue,
    // None of these may be.
    CompletedByOther,
    Robbed,
    Lied,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    row: Option<Row>,
    processes: [Process; 2],
    look: Option<Look>,
    effects: u8,
    faults: u8,
    requeues: u8,
    event: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Claim(usize),
    GiveBack(usize),
    Start(usize),
    StartUnanswered(usize),
    Late(usize),
    LateIsLost(usize),
    Again(usize),
    Found(usize),
    Begin(usize),
    Served(usize),
    Commit(usize),
    Rollback(usize),
    Remove(usize),
    ServerCommits(usize),
    ServerAborts(usize),
    Answered(usize),
    Resolve(usize),
    Fail(usize),
    BreakOff(usize),
    Settle(usize),
    Silence(usize),
    Beat(usize),
    Crash(usize),
    Cut(usize),
    Lapse,
    Look,
    Take,
    Rescue,
    ComeDue,
    Requeue,
}

#[derive(Debug)]
struct Fence(Rules);

impl State {
    fn alive(&self, process: usize) -> bool {
        self.processes[process].life == Life::Alive
    }

    fn spend(&mut self) -> Option<()> {
        self.faults = self.faults.checked_sub(1)?;
        Some(())
    }

    fn phase(&mut self, process: usize, phase: Phase) {
        self.processes[process].phase = phase;
    }

    /// The row, if nobody has locked it.
    fn free(&mut self) -> Option<&mut Row> {
        self.row.as_mut().filter(|row| row.locked.is_none())
    }

    /// Nobody's start is in effect any more, and what a sweep has seen is not there.
    fn change_hands(&mut self) {
        self.processes.iter_mut().for_each(|process| process.holds = false);
        self.look.iter_mut().for_each(|look| look.current = false);
    }

    fn end(&mut self, stage: Stage, attempt: u8) {
        self.change_hands();
        if let Some(row) = &mut self.row {
            *row = Row { stage, attempt, node: None, lapsed: false, ..*row };
        }
    }

    fn look(&self) -> Option<Look> {
        let row = self.row.filter(|row| matches!(row.stage, Stage::Reserved | Stage::InProgress))?;
        let dead = row.node.is_some_and(|node| !self.alive(node));
        (dead || row.lapsed).then_some(Look { dead, current: true })
    }

    /// What a process says of its attempt. After a removal whose answer was lost it takes a row that is gone for its
    /// own doing: it may have been another's by then, and the job is done all the same.
    fn say(&mut self, process: usize, completed: bool, event: Event) {
        let Process { committed, phase, .. } = &mut self.processes[process];
        let is_true = *committed == completed || event == Event::FoundRemoved && self.effects > 0;
        self.event = if is_true { event } else { Event::Lied };
        *phase = Phase::Idle;
    }
}

impl Fence {
    fn fenced(&self, row: &Row, lease: u8) -> bool {
        self.0 == Rules::NoFence || row.stage == Stage::InProgress && row.lease == lease
    }

    fn start(&self, state: &mut State, process: usize, lease: u8) -> bool {
        let unguarded = self.0 == Rules::StartIsUnguarded;
        let Some(row) = state.free() else { return false };
        let mine = row.stage == Stage::Reserved && row.lease == lease && row.node == Some(process) && !row.lapsed;
        if !mine && !unguarded {
            return false;
        }
        let (holder, live) = (row.node, !row.lapsed);
        let (attempt, lease) = (row.attempt + 1, row.lease + 1);
        *row = Row { stage: Stage::InProgress, attempt, lease, node: Some(process), lapsed: false, locked: None };
        if live && holder.is_some_and(|holder| holder != process && state.alive(holder)) {
            state.event = Event::Robbed;
        }
        state.change_hands();
        state.processes[process].holds = true;
        true
    }

    /// The removal that opens a completion, once it has the row to itself.
    fn begin(&self, state: &mut State, process: usize, lease: u8, refused: Event) {
        let found = state.row.as_mut().filter(|row| self.fenced(row, lease));
        let removes = found.is_some();
        if let Some(row) = found {
            row.locked = Some(process);
        } else if self.0 != Rules::RowCountsAreNotLookedAt {
            state.processes[process].transaction = None;
            if state.processes[process].phase == Phase::Completing(lease) {
                state.say(process, false, refused);
            }
            return;
        }
        let transaction = &mut state.processes[process].transaction;
        let connected = transaction.is_none_or(|waited| waited.connected);
        *transaction = Some(Transaction { at: At::Open, lease, removes, connected });
    }

    fn take(&self, state: &mut State, look: Look) -> Option<()> {
        let row = *state.free()?;
        let held = matches!(row.stage, Stage::Reserved | Stage::InProgress);
        let passes = match self.0 {
            Rules::RescueTrustsAnOldLook => look.dead || row.lapsed,
            _ => look.current,
        };
        if !held || !passes {
            return None;
        }
        if !look.current && !row.lapsed && row.node.is_some_and(|node| state.alive(node)) {
            state.event = Event::Robbed;
        }
        let last = row.stage == Stage::InProgress && row.attempt >= MAX_ATTEMPTS;
        if last && state.event == Event::Nothing {
            state.event = Event::FailedByRescue;
        }
        state.end(if last { Stage::Failed } else { Stage::Available }, row.attempt);
        Some(())
    }

    /// The end of a transaction: nobody waits for its fate but those who will ask for it.
    fn ended(state: &mut State, process: usize, at: At) {
        let Process { phase, transaction, .. } = &mut state.processes[process];
        let asked = matches!(phase, Phase::Committing(_) | Phase::Resolving(_))
            || matches!(phase, Phase::Removing(..)) && transaction.is_some_and(|it| it.connected);
        *transaction = transaction.filter(|_| asked).map(|it| Transaction { at, ..it });
    }

    #[allow(clippy::too_many_lines, reason = "one arm an action, and none of them is of interest alone")]
    fn act(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Claim(p) => {
                let process = state.processes[p];
                let free = process.life != Life::Gone && process.transaction.is_none() && process.late.is_none();
                let row = state.free().filter(|row| row.stage == Stage::Available)?;
                if !free || process.phase != Phase::Idle {
                    return None;
                }
                (row.stage, row.node) = (Stage::Reserved, Some(p));
                let phase = Phase::Reserved(row.lease);
                state.change_hands();
                state.processes[p] = Process { life: Life::Alive, phase, committed: false, ..process };
            }
            Action::GiveBack(p) => {
                let row = *state.free().filter(|row| row.stage == Stage::Reserved && row.node == Some(p))?;
                state.spend()?;
                state.end(Stage::Available, row.attempt);
            }
            Action::Start(p) => {
                let Phase::Reserved(lease) = state.processes[p].phase else { return None };
                let started = self.start(state, p, lease);
                state.phase(p, if started { Phase::Running(lease + 1) } else { Phase::Idle });
            }
            Action::StartUnanswered(p) => {
                let Phase::Reserved(lease) = state.processes[p].phase else { return None };
                state.spend()?;
                state.processes[p].late = Some(lease);
                let looks_first = self.0 == Rules::LooksBeforeItStartsAgain;
                state.phase(p, if looks_first { Phase::LookingForStart(lease) } else { Phase::StartingAgain(lease) });
            }
            Action::Late(p) => {
                let lease = state.processes[p].late.take()?;
                self.start(state, p, lease);
            }
            Action::LateIsLost(p) => drop(state.processes[p].late.take()?),
            Action::Again(p) => {
                let Phase::StartingAgain(lease) = state.processes[p].phase else { return None };
                let missing =
                    if self.0 == Rules::LooksBeforeItStartsAgain { Phase::Idle } else { Phase::LookingForStart(lease) };
                let started = self.start(state, p, lease);
                state.phase(p, if started { Phase::Running(lease + 1) } else { missing });
            }
            Action::Found(p) => {
                let Phase::LookingForStart(lease) = state.processes[p].phase else { return None };
                let mine = |row: Row| row.stage == Stage::InProgress && row.lease == lease + 1 && row.node == Some(p);
                if state.row.is_some_and(mine) {
                    state.event = Event::FoundStarted;
                    state.phase(p, Phase::Running(lease + 1));
                } else if self.0 == Rules::LooksBeforeItStartsAgain {
                    state.phase(p, Phase::StartingAgain(lease));
                } else {
                    state.phase(p, Phase::Idle);
                }
            }
            Action::Begin(p) => {
                let Phase::Running(lease) = state.processes[p].phase else { return None };
                state.phase(p, Phase::Completing(lease));
                if state.row.is_some_and(|row| row.locked.is_some()) {
                    let waits = Transaction { at: At::Waits, lease, removes: false, connected: true };
                    state.processes[p].transaction = Some(waits);
                } else {
                    self.begin(state, p, lease, Event::Refused);
                }
            }
            Action::Served(p) => {
                let Transaction { lease, .. } = state.processes[p].transaction.filter(|it| it.at == At::Waits)?;
                if state.row.is_some_and(|row| row.locked.is_some()) {
                    return None;
                }
                self.begin(state, p, lease, Event::RefusedAfterWait);
            }
            Action::Commit(p) => {
                let Process { phase, transaction, .. } = &mut state.processes[p];
                let Phase::Completing(lease) = *phase else { return None };
                transaction.as_mut().filter(|it| it.at == At::Open)?.at = At::CommitSent;
                *phase = Phase::Committing(lease);
            }
            Action::Rollback(p) => {
                let Process { phase, transaction, .. } = &mut state.processes[p];
                let Phase::Completing(lease) = *phase else { return None };
                let removes = transaction.take_if(|it| it.at == At::Open)?.removes;
                *phase = Phase::Settling(lease, Verdict::Retry);
                state.row.iter_mut().filter(|_| removes).for_each(|row| row.locked = None);
            }
            Action::Remove(p) => {
                let (lease, lost_answer) = match state.processes[p].phase {
                    Phase::Running(lease) => (lease, false),
                    Phase::Removing(lease, lost_answer) => (lease, lost_answer),
                    _ => return None,
                };
                if state.processes[p].transaction.is_some_and(|it| it.connected) {
                    return None;
                }
                let forgets = self.0 == Rules::BusyForgetsTheLostAnswer;
                match &mut state.row {
                    None if lost_answer => state.say(p, true, Event::FoundRemoved),
                    None => state.say(p, false, Event::Refused),
                    Some(row) if !self.fenced(row, lease) => state.say(p, false, Event::Refused),
                    Some(row) if row.locked.is_some() => {
                        state.phase(p, Phase::Removing(lease, lost_answer && !forgets))
                    }
                    Some(row) => {
                        row.locked = Some(p);
                        let sent = Transaction { at: At::CommitSent, lease, removes: true, connected: true };
                        state.processes[p].transaction = Some(sent);
                        state.phase(p, Phase::Removing(lease, lost_answer));
                    }
                }
            }
            Action::ServerCommits(p) => {
                let transaction = state.processes[p].transaction.filter(|it| it.at == At::CommitSent)?;
                if transaction.removes {
                    if !state.processes[p].holds {
                        state.event = Event::CompletedByOther;
                    }
                    state.row = None;
                    state.change_hands();
                    state.processes[p].committed = true;
                }
                state.effects += 1;
                Self::ended(state, p, At::Committed);
            }
            Action::ServerAborts(p) => {
                let alone = |it: &Transaction| !it.connected && !matches!(it.at, At::Committed | At::Aborted);
                let transaction = state.processes[p].transaction.filter(alone)?;
                state.row.iter_mut().filter(|_| transaction.removes).for_each(|row| row.locked = None);
                Self::ended(state, p, At::Aborted);
            }
            Action::Answered(p) => {
                let (Phase::Committing(_) | Phase::Removing(..)) = state.processes[p].phase else { return None };
                state.processes[p].transaction.take_if(|it| it.connected && it.at == At::Committed)?;
                let removed = state.processes[p].committed || self.0 == Rules::RowCountsAreNotLookedAt;
                state.say(p, removed, Event::Nothing);
            }
            Action::Resolve(p) => {
                let Phase::Resolving(lease) = state.processes[p].phase else { return None };
                let ended = |it: &mut Transaction| matches!(it.at, At::Committed | At::Aborted);
                if state.processes[p].transaction.take_if(ended)?.at == At::Committed {
                    state.say(p, true, Event::FoundCommitted);
                } else {
                    state.event = Event::FoundAborted;
                    state.phase(p, Phase::Settling(lease, Verdict::Retry));
                }
            }
            Action::Fail(p) => {
                let Phase::Running(lease) = state.processes[p].phase else { return None };
                state.phase(p, Phase::Settling(lease, Verdict::Retry));
            }
            Action::BreakOff(p) => {
                let Phase::Running(lease) = state.processes[p].phase else { return None };
                state.spend()?;
                state.phase(p, Phase::Settling(lease, Verdict::Return));
            }
            Action::Settle(p) => {
                let Phase::Settling(lease, verdict) = state.processes[p].phase else { return None };
                match state.row.filter(|row| self.fenced(row, lease)) {
                    // Busy: asked again later.
                    Some(row) if row.locked.is_some() => return None,
                    Some(row) => match verdict {
                        Verdict::Return => state.end(Stage::Available, row.attempt - 1),
                        Verdict::Retry if row.attempt < MAX_ATTEMPTS => state.end(Stage::Waiting, row.attempt),
                        Verdict::Retry => state.end(Stage::Failed, row.attempt),
                    },
                    None => {}
                }
                state.say(p, false, Event::Nothing);
            }
            Action::Silence(p) => {
                if !state.alive(p) {
                    return None;
                }
                state.spend()?;
                state.processes[p].life = Life::Silent;
            }
            Action::Beat(p) => {
                if state.processes[p].life != Life::Silent {
                    return None;
                }
                state.processes[p].life = Life::Alive;
            }
            Action::Crash(p) => {
                if state.processes.iter().any(|process| process.life == Life::Gone) {
                    return None;
                }
                state.spend()?;
                let process = &mut state.processes[p];
                (process.life, process.phase) = (Life::Gone, Phase::Idle);
                let unended = |it: &Transaction| !matches!(it.at, At::Committed | At::Aborted);
                let cut = process.transaction.filter(unended);
                process.transaction = cut.map(|it| Transaction { connected: false, ..it });
            }
            Action::Cut(p) => {
                let process = &mut state.processes[p];
                let at = process.transaction.as_mut().filter(|it| it.connected)?;
                at.connected = false;
                let ended = at.at == At::Committed;
                process.phase = match process.phase {
                    Phase::Committing(lease) if self.0 == Rules::LostCommitCountsAsFailed => {
                        Phase::Settling(lease, Verdict::Retry)
                    }
                    Phase::Committing(lease) => Phase::Resolving(lease),
                    Phase::Completing(lease) => Phase::Settling(lease, Verdict::Retry),
                    Phase::Removing(lease, _) => Phase::Removing(lease, true),
                    phase => phase,
                };
                if ended && !matches!(process.phase, Phase::Resolving(_)) {
                    process.transaction = None;
                }
                state.spend()?;
            }
            Action::Lapse => {
                let row = state.row.as_mut().filter(|row| row.node.is_some() && !row.lapsed)?;
                row.lapsed = true;
                state.spend()?;
            }
            Action::Look if state.look.is_some() => return None,
            Action::Look => state.look = Some(state.look()?),
            Action::Take => {
                let look = state.look.take()?;
                // A row that is locked, or is not what was seen, is left.
                let _ = self.take(state, look);
            }
            Action::Rescue => {
                let look = state.look()?;
                self.take(state, look)?;
            }
            Action::ComeDue => state.free().filter(|row| row.stage == Stage::Waiting)?.stage = Stage::Available,
            Action::Requeue => {
                state.requeues = state.requeues.checked_sub(1)?;
                let lowers = self.0 == Rules::RequeueLowersTheFence;
                let row = state.free().filter(|row| row.stage == Stage::Failed)?;
                (row.stage, row.attempt) = (Stage::Waiting, 0);
                row.lease = if lowers { 0 } else { row.lease };
            }
        }
        Some(())
    }

    /// A job in progress of which its own living process knows nothing.
    fn is_orphaned(state: &State) -> bool {
        let Some(Row { stage: Stage::InProgress, node: Some(node), lapsed: false, lease, .. }) = state.row else {
            return false;
        };
        let process = &state.processes[node];
        let knows = match process.phase {
            Phase::Idle | Phase::Reserved(_) => false,
            Phase::StartingAgain(before) | Phase::LookingForStart(before) => before + 1 == lease,
            Phase::Running(known)
            | Phase::Completing(known)
            | Phase::Committing(known)
            | Phase::Resolving(known)
            | Phase::Removing(known, _)
            | Phase::Settling(known, _) => known == lease,
        };
        process.life == Life::Alive && !knows
    }
}

const ONCE: &str = "effects happen at most once";
const NOT_LOST: &str = "a job is there until its effects are";
const COUNTED: &str = "no more attempts are counted than there may be";
const REFUSED: &str = "an overtaken holder completes nothing";
const LEFT: &str = "what a living process holds in time is left to it";
const TRUE: &str = "what a process says of its attempt is true";
const KNOWN: &str = "a process knows of each job that it has in progress";
const NOT_STUCK: &str = "a job ends done or failed";

impl Model for Fence {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = Row { stage: Stage::Available, attempt: 0, lease: 0, node: None, lapsed: false, locked: None };
        let process = Process {
            life: Life::Alive,
            phase: Phase::Idle,
            transaction: None,
            late: None,
            holds: false,
            committed: false,
        };
        vec![State {
            row: Some(row),
            processes: [process; 2],
            look: None,
            effects: 0,
            faults: FAULTS,
            requeues: 1,
            event: Event::Nothing,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        use Action::*;
        actions.extend([Lapse, Look, Take, Rescue, ComeDue, Requeue]);
        let of_each = [
            Claim,
            GiveBack,
            Start,
            StartUnanswered,
            Late,
            LateIsLost,
            Again,
            Found,
            Begin,
            Served,
            Commit,
            Rollback,
            Remove,
            ServerCommits,
            ServerAborts,
            Answered,
            Resolve,
            Fail,
            BreakOff,
            Settle,
            Silence,
            Beat,
            Crash,
            Cut,
        ];
        actions.extend(of_each.iter().flat_map(|action| (0..2).map(action)));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = State { event: Event::Nothing, ..state.clone() };
        self.act(&mut next, action)?;
        // What happened is told once; what changes nothing else is no step.
        (State { event: state.event, ..next.clone() } != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let happens = |name, condition| Property::<Self>::sometimes(name, condition);
        vec![
            Property::always(ONCE, |_, state: &State| state.effects <= 1),
            Property::always(NOT_LOST, |_, state: &State| state.row.is_none() == (state.effects > 0)),
            Property::always(COUNTED, |_, state: &State| state.row.is_none_or(|row| row.attempt <= MAX_ATTEMPTS)),
            Property::always(REFUSED, |_, state: &State| state.event != Event::CompletedByOther),
            Property::always(LEFT, |_, state: &State| state.event != Event::Robbed),
            Property::always(TRUE, |_, state: &State| state.event != Event::Lied),
            Property::always(KNOWN, |_, state: &State| !Fence::is_orphaned(state)),
            Property::always(NOT_STUCK, |model: &Self, state: &State| {
                let ended = state.row.is_none_or(|row| row.stage == Stage::Failed && row.locked.is_none());
                ended || !model.next_states(state).is_empty()
            }),
            happens("an overtaken completion is refused", |_, state| {
                state.event == Event::Refused && state.row.is_some()
            }),
            happens("a completion waits for a lock and is refused", |_, state| state.event == Event::RefusedAfterWait),
            happens("a start whose answer was lost is found", |_, state| state.event == Event::FoundStarted),
            happens("a commit whose answer was lost is found", |_, state| state.event == Event::FoundCommitted),
            happens("a commit that was lost is found out", |_, state| state.event == Event::FoundAborted),
            happens("a removal whose answer was lost is found", |_, state| state.event == Event::FoundRemoved),
            happens("a rescue fails a job at its last attempt", |_, state| state.event == Event::FailedByRescue),
            happens("a failed job is requeued and done", |_, state| state.effects == 1 && state.requeues == 0),
        ]
    }
}

#[test]
fn a_job_is_done_once_by_its_holder_or_failed_and_never_lost() {
    holds(Fence(Rules::AsBuilt));
}

#[test]
fn every_guard_is_needed() {
    breaks(Fence(Rules::NoFence), REFUSED);
    breaks(Fence(Rules::RowCountsAreNotLookedAt), ONCE);
    breaks(Fence(Rules::RequeueLowersTheFence), REFUSED);
    breaks(Fence(Rules::RescueTrustsAnOldLook), LEFT);
    breaks(Fence(Rules::StartIsUnguarded), LEFT);
    breaks(Fence(Rules::LostCommitCountsAsFailed), TRUE);
    breaks(Fence(Rules::LooksBeforeItStartsAgain), KNOWN);
    breaks(Fence(Rules::BusyForgetsTheLostAnswer), TRUE);
}
