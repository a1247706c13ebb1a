//! A cell's life: which request is answered in which state, and what comes of it.
//!
//! One rule: a cell runs only what was loaded whole, into memory that was zeroed for it; every stop ends with its CPUs
//! parked or with the cell cut off.

use bulkhead_abi::code;
use bulkhead_abi::info::state;

use crate::refused::Refused;

/// Where in its life a cell is; what each means is said in [`bulkhead_abi::info::state`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u32)]
pub enum State {
    /// The slot is free.
    #[default]
    Free = state::FREE,
    /// Its RAM is being zeroed.
    Creating = state::CREATING,
    /// Empty.
    Created = state::CREATED,
    /// Part of an image was loaded.
    Loading = state::LOADING,
    /// Ready to start.
    Loaded = state::LOADED,
    /// Running.
    Running = state::RUNNING,
    /// Its CPUs were told to stop.
    Stopping = state::STOPPING,
    /// Stopped by root or by itself.
    Stopped = state::STOPPED,
    /// Stopped by a fault.
    Failed = state::FAILED,
    /// Its RAM is being zeroed before it goes.
    Destroying = state::DESTROYING,
    /// Cut off for ever.
    Fenced = state::FENCED,
}

impl State {
    /// Its number of [`bulkhead_abi::info::state`].
    pub const fn number(self) -> u32 {
        self as u32
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
    /// All its CPUs are parked.
    Parked,
    /// It did what it must not. May come from several of its CPUs.
    Fault,
    /// Root: end it. One that runs is stopped first. May be asked again while it ends.
    Destroy,
    /// Its RAM is zeroed again, and all it had given back.
    Scrubbed,
    /// A CPU of it did not answer a kick in time.
    Silent,
}

impl Request {
    /// Every request, for tests of all of them.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Zeroed,
        Self::Load,
        Self::Loaded,
        Self::Start,
        Self::Stop,
        Self::Parked,
        Self::Fault,
        Self::Destroy,
        Self::Scrubbed,
        Self::Silent,
    ];
}

/// Returns the state that follows.
///
/// # Errors
/// `WRONG_STATE`: the request has no place in this state, which stays.
pub const fn next(state: State, request: Request) -> Result<State, Refused> {
    match (state, request) {
        (State::Free, Request::Create) => Ok(State::Creating),
        (State::Creating, Request::Zeroed) => Ok(State::Created),
        (
            State::Created | State::Loading | State::Loaded | State::Stopped | State::Failed,
            Request::Load,
        ) => Ok(State::Loading),
        (State::Loading, Request::Loaded) => Ok(State::Loaded),
        (State::Loaded, Request::Start) => Ok(State::Running),
        (State::Running | State::Stopping, Request::Stop) => Ok(State::Stopping),
        (State::Stopping, Request::Parked) => Ok(State::Stopped),
        (State::Running | State::Failed, Request::Fault) => Ok(State::Failed),
        // It is being stopped already; its other CPUs are still to come.
        (State::Stopping, Request::Fault) => Ok(State::Stopping),
        // The fault stays the reason.
        (State::Failed, Request::Parked) => Ok(State::Failed),
        (
            State::Created | State::Loading | State::Loaded | State::Stopped | State::Failed | State::Destroying,
            Request::Destroy,
        ) => Ok(State::Destroying),
        (State::Destroying, Request::Scrubbed) => Ok(State::Free),
        (
            State::Creating | State::Running | State::Stopping | State::Failed | State::Destroying,
            Request::Silent,
        ) => Ok(State::Fenced),
        _ => Err(Refused::new(code::WRONG_STATE, state.number() as u64, 0)),
    }
}
