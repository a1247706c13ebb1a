//! Rounds of a measurement: least count, most frequent count.

use core::sync::atomic::{AtomicU32, Ordering};

use inmate_rt::measure::{self, Filter};
use inmate_rt::println;

/// Rounds of each measurement.
static ROUNDS: AtomicU32 = AtomicU32::new(10_000);
/// Different counts that are told apart; more are rare ones.
const KINDS: usize = 128;

/// Returns the rounds of each measurement.
pub fn rounds() -> u32 {
    ROUNDS.load(Ordering::Relaxed)
}

/// Sets the rounds of each measurement.
pub fn set_rounds(rounds: u32) {
    ROUNDS.store(rounds, Ordering::Relaxed);
}

/// Counts of many rounds.
pub struct Tally {
    least: u64,
    kinds: [(u64, u32); KINDS],
}

impl Tally {
    /// Makes all rounds.
    pub fn of(mut round: impl FnMut() -> u64) -> Self {
        let mut tally = Self {
            least: u64::MAX,
            kinds: [(0, 0); KINDS],
        };
        for _ in 0..rounds() {
            tally.add(round());
        }
        tally
    }

    fn add(&mut self, count: u64) {
        self.least = self.least.min(count);
        let kind = self
            .kinds
            .iter_mut()
            .find(|(kind, times)| *kind == count || *times == 0);
        if let Some((kind, times)) = kind {
            *kind = count;
            *times += 1;
        }
    }

    /// The least count.
    pub fn least(&self) -> u64 {
        self.least
    }

    /// The most frequent count.
    pub fn mode(&self) -> u64 {
        self.kinds
            .iter()
            .max_by_key(|(_, times)| *times)
            .map_or(0, |(kind, _)| *kind)
    }
}

/// Measures and prints one figure; what counting itself costs is taken off.
pub fn report(name: &str, mut round: impl FnMut() -> u64) {
    let [all, el2] = [Filter::All, Filter::El2].map(|filter| {
        measure::start(filter);
        let cost = Tally::of(measure::empty).least();
        let tally = Tally::of(&mut round);
        [tally.least(), tally.mode()].map(|count| count.saturating_sub(cost))
    });
    println!("bench {name} {} {} {}", all[0], all[1], el2[1]);
}

/// Says that a figure cannot be had here.
pub fn skip(name: &str, why: &str) {
    println!("bench {name} skipped: {why}");
}
