//! A cell's life: every request in every state, and what no sequence of requests can reach.

use bulkhead_abi::call::LOADED_ONCE;
use bulkhead_abi::code;
use bulkhead_abi::info::state::NAMES;
use bulkhead_model::cell::Request::{
    Create, Destroy, Fault, Load, Loaded, Parked, Reset, Scrubbed, Silent, Start, Stop, Zeroed,
};
use bulkhead_model::cell::State::{
    Created, Creating, Destroying, Failed, Failing, Fenced, Free, Loading, Restarting, Running,
    Stopped, Stopping,
};
use bulkhead_model::cell::{Request, State, entry_and_reset, next};
use bulkhead_model::refused::Refused;

const STATES: [State; 13] = [
    Free,
    Creating,
    Created,
    Loading,
    State::Loaded,
    Running,
    Stopping,
    Failing,
    Restarting,
    Stopped,
    Failed,
    Destroying,
    Fenced,
];

/// What each state answers to; everything else is refused.
const ANSWERS: [(State, &[(Request, State)]); 13] = [
    (Free, &[(Create, Creating)]),
    (Creating, &[(Zeroed, Created), (Silent, Fenced)]),
    (Created, &[(Load, Loading), (Destroy, Destroying)]),
    (
        Loading,
        &[
            (Load, Loading),
            (Loaded, State::Loaded),
            (Destroy, Destroying),
        ],
    ),
    (
        State::Loaded,
        &[(Load, Loading), (Start, Running), (Destroy, Destroying)],
    ),
    (
        Running,
        &[
            (Stop, Stopping),
            (Reset, Restarting),
            (Fault, Failing),
            (Silent, Fenced),
        ],
    ),
    (
        Stopping,
        &[
            (Stop, Stopping),
            (Reset, Stopping),
            (Parked, Stopped),
            (Fault, Stopping),
            (Silent, Fenced),
        ],
    ),
    (
        Failing,
        &[
            (Stop, Failing),
            (Reset, Failing),
            (Parked, Failed),
            (Fault, Failing),
            (Silent, Fenced),
        ],
    ),
    (
        Restarting,
        &[
            (Stop, Stopping),
            (Reset, Restarting),
            (Parked, State::Loaded),
            (Fault, Failing),
            (Silent, Fenced),
        ],
    ),
    (Stopped, &[(Load, Loading), (Destroy, Destroying)]),
    (Failed, &[(Load, Loading), (Destroy, Destroying)]),
    (
        Destroying,
        &[(Destroy, Destroying), (Scrubbed, Free), (Silent, Fenced)],
    ),
    (Fenced, &[(Destroy, Destroying)]),
];

#[test]
fn every_request_in_every_state_has_its_answer() {
    for (state, answers) in ANSWERS {
        for request in Request::ALL {
            let refused = Refused::new(code::WRONG_STATE, state.number().into(), 0);
            let wanted = answers
                .iter()
                .find(|(r, _)| *r == request)
                .map_or(Err(refused), |(_, then)| Ok(*then));
            assert_eq!(next(state, request), wanted, "{state:?} {request:?}");
        }
    }
}

#[test]
fn an_image_that_cannot_start_again_stops_on_a_reset() {
    assert_eq!(entry_and_reset(0x4000_0000), (0x4000_0000, Reset));
    let once = 0x4000_0000 | LOADED_ONCE;
    assert_eq!(entry_and_reset(once), (0x4000_0000, Stop));
    // What is no multiple of four stays none.
    assert_eq!(entry_and_reset(0x4000_0003), (0x4000_0002, Stop));
}

#[test]
fn states_have_the_numbers_and_names_of_the_abi() {
    for state in STATES {
        let name = if matches!(state, Failing | Restarting) {
            "stopping".into()
        } else {
            format!("{state:?}").to_lowercase()
        };
        assert_eq!(NAMES[state.number() as usize], name);
    }
    assert!(
        (0..NAMES.len()).all(|number| STATES.iter().any(|state| state.number() as usize == number))
    );
}

/// What a slot's history says of its memory and CPUs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct History {
    state: State,
    is_zeroed: bool,
    is_image_whole: bool,
    may_execute: bool,
}

fn after(before: History, request: Request) -> Option<History> {
    let state = next(before.state, request).ok()?;
    let mut after = History { state, ..before };
    match request {
        Zeroed | Scrubbed => after.is_zeroed = true,
        Load => (after.is_zeroed, after.is_image_whole) = (false, false),
        Loaded => after.is_image_whole = true,
        Start => (after.is_image_whole, after.may_execute) = (false, true),
        Parked | Silent => after.may_execute = false,
        Create => after.is_zeroed = false,
        Reset => after.is_image_whole = true,
        Fault | Stop | Destroy => {}
    }
    Some(after)
}

/// Breadth first: all that any sequence of requests leads to.
fn reachable() -> Vec<History> {
    let start = History {
        state: Free,
        is_zeroed: true,
        is_image_whole: false,
        may_execute: false,
    };
    let mut found = vec![start];
    let mut at = 0;
    while at < found.len() {
        let before = found[at];
        for history in Request::ALL
            .into_iter()
            .filter_map(|request| after(before, request))
        {
            if !found.contains(&history) {
                found.push(history);
            }
        }
        at += 1;
    }
    found
}

#[test]
fn every_state_can_be_reached() {
    let found = reachable();
    assert!(
        STATES
            .iter()
            .all(|state| found.iter().any(|history| history.state == *state))
    );
}

#[test]
fn a_cell_starts_only_with_a_whole_image() {
    for before in reachable() {
        if next(before.state, Start).is_ok() {
            assert!(before.is_image_whole, "{before:?}");
        }
    }
}

#[test]
fn an_empty_cell_and_a_free_slot_have_zeroed_memory() {
    for history in reachable() {
        assert!(
            history.is_zeroed || !matches!(history.state, Created | Free),
            "{history:?}"
        );
    }
}

#[test]
fn a_cell_executes_only_while_it_runs_or_is_being_stopped() {
    for history in reachable()
        .into_iter()
        .filter(|history| history.may_execute)
    {
        assert!(
            matches!(history.state, Running | Stopping | Failing | Restarting),
            "{history:?}"
        );
    }
}

#[test]
fn exactly_the_stopping_states_wait_for_the_cpus() {
    for state in STATES {
        assert_eq!(
            state.is_stopping(),
            next(state, Parked).is_ok(),
            "{state:?}"
        );
    }
}

#[test]
fn a_fenced_cell_can_only_be_destroyed() {
    assert!(
        Request::ALL
            .into_iter()
            .all(|request| next(Fenced, request).is_ok() == (request == Destroy))
    );
}
