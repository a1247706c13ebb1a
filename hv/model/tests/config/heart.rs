//! The watch over heartbeats: nobody punctual is stalled, nobody silent is missed, no restart goes on for ever.

use bulkhead_model::blob::Heartbeat;
use bulkhead_model::heart::{FIRST_BEAT_PERIODS, Heart, Verdict, interval_ms};
use proptest::prelude::*;

const HZ: u64 = 62_500_000;
const MS: u64 = HZ / 1000;
const PERIOD_MS: u32 = 100;
const MOST_RESTARTS: u32 = 3;
const PERIOD: u64 = PERIOD_MS as u64 * MS;

const fn promise(restarts: u32) -> Heartbeat {
    Heartbeat {
        period_ms: PERIOD_MS,
        restarts,
    }
}

/// A heart that has beaten once, at that tick.
fn beating(now: u64) -> Heart {
    let (heart, verdict) = Heart::UNKNOWN.start(now).look(promise(0), 1, now, HZ);
    assert_eq!(verdict, Verdict::Same);
    heart
}

fn look(heart: Heart, restarts: u32, beats: u64, now: u64) -> (Heart, Verdict) {
    heart.look(promise(restarts), beats, now, HZ)
}

#[test]
fn silence_of_a_period_is_no_stall_and_a_millisecond_more_is_one() {
    let heart = beating(5);
    assert_eq!(look(heart, 0, 1, 5 + PERIOD), (heart, Verdict::Same));
    let (stalled, verdict) = look(heart, 0, 1, 5 + PERIOD + MS);
    assert_eq!(verdict, Verdict::Stalled);
    assert!(stalled.is_stalled);
    assert_eq!(stalled.silent_ms(5 + PERIOD + MS, HZ), 101);
}

#[test]
fn the_first_beat_may_take_longer() {
    let heart = Heart::UNKNOWN.start(7);
    let grace = FIRST_BEAT_PERIODS * PERIOD;
    assert_eq!(look(heart, 0, 0, 7 + grace).1, Verdict::Same);
    assert_eq!(look(heart, 0, 0, 7 + grace + MS).1, Verdict::Stalled);
}

#[test]
fn a_stall_is_told_once_and_a_beat_ends_it() {
    let (stalled, _) = look(beating(0), 0, 1, 2 * PERIOD);
    assert_eq!(look(stalled, 0, 1, 9 * PERIOD), (stalled, Verdict::Same));
    let (alive, verdict) = look(stalled, 0, 2, 10 * PERIOD);
    assert_eq!(verdict, Verdict::Revived);
    assert!(!alive.is_stalled);
    assert_eq!(look(alive, 0, 2, 11 * PERIOD).1, Verdict::Same);
}

#[test]
fn any_change_of_the_counter_is_a_beat() {
    let heart = look(beating(0), 0, 500, PERIOD).0;
    for beats in [0, 499, 501, u64::MAX] {
        assert_eq!(look(heart, 0, beats, 3 * PERIOD).1, Verdict::Same);
    }
}

#[test]
fn a_cell_that_never_beats_is_restarted_so_often_and_no_more() {
    let mut heart = Heart::UNKNOWN;
    let mut now = 0;
    for _ in 0..MOST_RESTARTS {
        heart = heart.start(now);
        now += FIRST_BEAT_PERIODS * PERIOD + MS;
        let (after, verdict) = look(heart, MOST_RESTARTS, 0, now);
        assert_eq!(verdict, Verdict::Restart);
        heart = after;
    }
    heart = heart.start(now);
    now += FIRST_BEAT_PERIODS * PERIOD + MS;
    let (after, verdict) = look(heart, MOST_RESTARTS, 0, now);
    assert_eq!((verdict, after.is_stalled), (Verdict::Stalled, true));
    assert_eq!(look(after, MOST_RESTARTS, 0, 2 * now).1, Verdict::Same);
}

#[test]
fn a_beat_forgives_the_restarts_before_it() {
    let mut heart = Heart::UNKNOWN;
    for round in 0..4 * u64::from(MOST_RESTARTS) {
        let now = round * 4 * PERIOD;
        heart = look(heart.start(now), MOST_RESTARTS, 1, now + MS).0;
        let (after, verdict) = look(heart, MOST_RESTARTS, 1, now + 3 * PERIOD);
        assert_eq!(verdict, Verdict::Restart);
        heart = after;
    }
}

#[test]
fn the_watch_comes_twice_in_the_shortest_period_or_not_at_all() {
    assert_eq!(interval_ms([].into_iter()), 0);
    assert_eq!(interval_ms([3000, 100, 500].into_iter()), 50);
    assert_eq!(interval_ms([10].into_iter()), 5);
}

#[test]
fn a_counter_that_stands_still_or_runs_backwards_is_no_stall() {
    let heart = beating(1000);
    assert_eq!(look(heart, 0, 1, 0).1, Verdict::Same);
    assert_eq!(heart.look(promise(0), 1, 1000, 0).1, Verdict::Same);
}

proptest! {
    /// Beats no further apart than the period and looks at any time never make a stall; two periods and a look do.
    #[test]
    fn a_punctual_cell_is_never_stalled_and_a_silent_one_always(
        steps in prop::collection::vec((1..=PERIOD, 0..3 * PERIOD), 1..50),
    ) {
        let (mut heart, mut beat, mut now, mut beats) = (beating(0), 0, 0, 1);
        for (gap, pause) in steps {
            now += pause;
            while beat + gap <= now {
                beat += gap;
                beats += 1;
            }
            let (after, verdict) = look(heart, MOST_RESTARTS, beats, now);
            prop_assert_eq!(verdict, Verdict::Same);
            heart = after;
        }
        let (_, verdict) = look(heart, MOST_RESTARTS, beats, now + 2 * PERIOD);
        prop_assert_eq!(verdict, Verdict::Restart);
    }
}
