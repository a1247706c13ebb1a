//! A cell's life: which request is answered in which state, and what comes of it.
//!
//! One rule: a cell runs only what was loaded whole, into memory that was zeroed for it; and nothing touches its memory
//! before all its CPUs are parked.

use bulkhead_abi::info::state;
use bulkhead_abi::{call, code};

use crate::refused::Refused;

/// Where in its life a cell is; more is said in [`bulkhead_abi::info::state`]. (Half a word, for [`crate::id::CellId`]'s
/// reason: there are tables of states.)
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// The slot is free.
    #[default]
    Free,
    /// Its RAM is being zeroed.
    Creating,
    /// Empty.
    Created,
    /// Part of an image was loaded.
    Loading,
    /// Ready to start.
    Loaded,
    /// Running.
    Running,
    /// Its CPUs were told to stop and are not all parked.
    Stopping,
    /// Same, because of a fault.
    Failing,
    /// Same, to start anew: the cell asked for it.
    Restarting,
    /// Stopped by root or by itself.
    Stopped,
    /// Stopped by a fault.
    Failed,
    /// Its RAM is being zeroed before it goes.
    Destroying,
    /// A CPU did not answer in time: cut off from all memory. Can be destroyed should it park after all.
    Fenced,
}

impl State {
    /// Every state, in the order of their declaration.
    const ALL: [Self; 13] = [
        Self::Free,
        Self::Creating,
        Self::Created,
        Self::Loading,
        Self::Loaded,
        Self::Running,
        Self::Stopping,
        Self::Failing,
        Self::Restarting,
        Self::Stopped,
        Self::Failed,
        Self::Destroying,
        Self::Fenced,
    ];

    /// Its number of [`bulkhead_abi::info::state`].
    pub const fn number(self) -> u32 {
        match self {
            Self::Free => state::FREE,
            Self::Creating => state::CREATING,
            Self::Created => state::CREATED,
            Self::Loading => state::LOADING,
            Self::Loaded => state::LOADED,
            Self::Running => state::RUNNING,
            Self::Stopping | Self::Failing | Self::Restarting => state::STOPPING,
            Self::Stopped => state::STOPPED,
            Self::Failed => state::FAILED,
            Self::Destroying => state::DESTROYING,
            Self::Fenced => state::FENCED,
        }
    }

    /// Tells whether its CPUs are on their way to be parked.
    pub const fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping | Self::Failing | Self::Restarting)
    }
}

/// What is asked of a cell, or happens to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// Root: the ledger has its claim.
    Create,
    /// Its RAM is zeroed.
    Zeroed,
    /// Root: a part of an image.
    Load,
    /// Root: the image is complete.
    Loaded,
    /// Root: run.
    Start,
    /// Root, or the cell itself by `SYSTEM_OFF`: stop. May be asked again while it stops.
    Stop,
    /// The cell itself, by `SYSTEM_RESET`: stop, and start at the entry again, its RAM as it is.
    Reset,
    /// All its CPUs are parked.
    Parked,
    /// It did what it must not: all its CPUs are to stop. May come from several of them.
    Fault,
    /// Root: end it. One that runs is stopped first. May be asked again while it ends.
    Destroy,
    /// Its RAM is zeroed again, and all it had given back.
    Scrubbed,
    /// A CPU of it did not answer a kick in time.
    Silent,
}

impl Request {
    /// Every request, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Zeroed,
        Self::Load,
        Self::Loaded,
        Self::Start,
        Self::Stop,
        Self::Reset,
        Self::Parked,
        Self::Fault,
        Self::Destroy,
        Self::Scrubbed,
        Self::Silent,
    ];
}

/// Splits what root says of a loaded image into its entry point and what becomes of the cell when it resets itself: an image
/// that cannot start again with its RAM as it is ([`call::LOADED_ONCE`]) stops.
#[must_use]
pub const fn entry_and_reset(word: u64) -> (u64, Request) {
    let reset = match word & call::LOADED_ONCE {
        0 => Request::Reset,
        _ => Request::Stop,
    };
    (word & !call::LOADED_ONCE, reset)
}

/// Returns the state that follows.
///
/// # Errors
/// `WRONG_STATE`: the request has no place in this state, which stays.
pub const fn next(state: State, request: Request) -> Result<State, Refused> {
    match NEXT[state as usize][request as usize] {
        Some(next) => Ok(next),
        None => Err(Refused::new(code::WRONG_STATE, state.number() as u64, 0)),
    }
}

/// [`follow`] of every state and request: a byte each instead of code.
static NEXT: [[Option<State>; Request::ALL.len()]; State::ALL.len()] = {
    let mut table = [[None; Request::ALL.len()]; State::ALL.len()];
    let mut place = 0;
    while place < State::ALL.len() * Request::ALL.len() {
        let (state, request) = (place / Request::ALL.len(), place % Request::ALL.len());
        let (from, by) = (State::ALL[state], Request::ALL[request]);
        assert!(from as usize == state && by as usize == request);
        table[state][request] = follow(from, by);
        place += 1;
    }
    table
};

const fn follow(state: State, request: Request) -> Option<State> {
    match (state, request) {
        (State::Free, Request::Create) => Some(State::Creating),
        (State::Creating, Request::Zeroed) => Some(State::Created),
        (
            State::Created | State::Loading | State::Loaded | State::Stopped | State::Failed,
            Request::Load,
        ) => Some(State::Loading),
        (State::Loading, Request::Loaded) => Some(State::Loaded),
        (State::Loaded, Request::Start) => Some(State::Running),
        (State::Running, Request::Fault) => Some(State::Failing),
        (State::Running, Request::Stop) => Some(State::Stopping),
        (State::Running, Request::Reset) => Some(State::Restarting),
        (State::Stopping | State::Failing, Request::Stop | Request::Fault | Request::Reset) => {
            Some(state)
        }
        (State::Restarting, Request::Reset) => Some(state),
        (State::Restarting, Request::Stop) => Some(State::Stopping),
        (State::Restarting, Request::Fault) => Some(State::Failing),
        (State::Restarting, Request::Parked) => Some(State::Loaded),
        (State::Stopping, Request::Parked) => Some(State::Stopped),
        (State::Failing, Request::Parked) => Some(State::Failed),
        (
            State::Created
            | State::Loading
            | State::Loaded
            | State::Stopped
            | State::Failed
            | State::Fenced
            | State::Destroying,
            Request::Destroy,
        ) => Some(State::Destroying),
        (State::Destroying, Request::Scrubbed) => Some(State::Free),
        (
            State::Creating
            | State::Running
            | State::Stopping
            | State::Failing
            | State::Restarting
            | State::Destroying,
            Request::Silent,
        ) => Some(State::Fenced),
        _ => None,
    }
}
