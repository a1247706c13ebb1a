//! What a `run` notes outlives its death, and two of them do not meet.

use bulkhead_cli::journal::{Done, Journal, Of};
use bulkhead_cli::store::Store;

use crate::support::folder;

const HALF: Done = Done {
    module: false,
    enabled: true,
    cell: true,
};

#[test]
fn a_run_takes_over_from_one_that_died() {
    let store = Store::at(&folder().join("run"));
    let mut first = Journal::open(&store, "rtos", Of::Run).unwrap();
    assert_eq!(first.done(), Done::default());
    first.note(HALF).unwrap();
    drop(first);
    assert_eq!(store.runs(), ["rtos"]);
    let mut second = Journal::open(&store, "rtos", Of::Run).unwrap();
    assert_eq!(second.done(), HALF);
    assert_eq!(second.end().unwrap(), HALF);
    assert!(store.runs().is_empty());
    drop(second);
    assert_eq!(
        Journal::open(&store, "rtos", Of::Run).unwrap().done(),
        Done::default()
    );
}

#[test]
fn two_runs_of_one_cell_are_refused() {
    let store = Store::at(&folder());
    let first = Journal::open(&store, "rtos", Of::Run).unwrap();
    let said = Journal::open(&store, "rtos", Of::Run)
        .unwrap_err()
        .to_string();
    assert_eq!(said, "another `bulkhead run` of cell 'rtos' is at work");
    Journal::open(&store, "plc", Of::Run).unwrap();
    drop(first);
    Journal::open(&store, "rtos", Of::Run).unwrap();
}

#[test]
fn a_journal_that_is_gone_is_ended() {
    let store = Store::at(&folder());
    let mut journal = Journal::open(&store, "rtos", Of::Run).unwrap();
    journal.note(HALF).unwrap();
    store.forget_run("rtos").unwrap();
    assert_eq!(journal.end().unwrap(), HALF);
    // A new one has nothing to do with it, although the old one is still held.
    assert_eq!(
        Journal::open(&store, "rtos", Of::Run).unwrap().done(),
        Done::default()
    );
}

#[test]
fn what_a_create_left_is_no_runs_and_goes_with_the_cell() {
    let store = Store::at(&folder().join("run"));
    assert!(Journal::left(&store, "rtos", Of::Create).unwrap().is_none());
    let mut first = Journal::open(&store, "rtos", Of::Create).unwrap();
    first.note(HALF).unwrap();
    let busy = Journal::left(&store, "rtos", Of::Create).unwrap_err();
    assert!(
        busy.to_string()
            .contains("another `bulkhead cell create` of cell 'rtos'")
    );
    drop(first);
    assert!(store.runs().is_empty());
    let left = Journal::left(&store, "rtos", Of::Create).unwrap();
    assert_eq!(left.map(|left| left.done()), Some(HALF));
    store.remove("rtos").unwrap();
    assert!(Journal::left(&store, "rtos", Of::Create).unwrap().is_none());
}
