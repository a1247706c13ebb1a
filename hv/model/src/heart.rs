//! Whether a cell is alive: it beats, or it is silent for too long.
//!
//! One rule: silence is counted from when a beat was *seen*, which is never before it was made. So a watch that comes late
//! finds a stall later, but never one that is none.

use crate::blob::Heartbeat;

/// Periods that a cell may take from its start to its first beat.
pub const FIRST_BEAT_PERIODS: u64 = 10;

/// What is known of a cell's heart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heart {
    /// Its counter when it was looked at last.
    pub beats: u64,
    /// When that was seen to change, or the cell started: counter ticks.
    seen: u64,
    /// It is silent for too long.
    pub is_stalled: bool,
    /// Restarts since its last beat.
    restarts: u32,
}

/// What a look at the heart comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// As before.
    Same,
    /// Silent for too long, from now on.
    Stalled,
    /// The same, and the cell is to start anew.
    Restart,
    /// It was stalled and beats again.
    Revived,
}

impl Heart {
    /// Of a cell that root is about to start.
    pub const UNKNOWN: Self = Self {
        beats: 0,
        seen: 0,
        is_stalled: false,
        restarts: 0,
    };

    /// The cell starts, its counter at 0; after a restart nothing is forgotten of how it came to that.
    #[must_use]
    pub fn start(self, now: u64) -> Self {
        Self {
            beats: 0,
            seen: now,
            is_stalled: false,
            restarts: self.restarts,
        }
    }

    /// Looks at the counter of a running cell.
    #[must_use]
    pub fn look(
        self,
        promise: Heartbeat,
        beats: u64,
        now: u64,
        frequency_hz: u64,
    ) -> (Self, Verdict) {
        if beats != self.beats {
            let heart = Self {
                beats,
                seen: now,
                is_stalled: false,
                restarts: 0,
            };
            let verdict = match self.is_stalled {
                true => Verdict::Revived,
                false => Verdict::Same,
            };
            return (heart, verdict);
        }
        let periods = if self.beats == 0 {
            FIRST_BEAT_PERIODS
        } else {
            1
        };
        let allowed_ms = u64::from(promise.period_ms) * periods;
        if self.is_stalled || self.silent_ms(now, frequency_hz) <= allowed_ms {
            return (self, Verdict::Same);
        }
        let heart = Self {
            is_stalled: true,
            ..self
        };
        if self.restarts < promise.restarts {
            let restarts = self.restarts + 1;
            return (Self { restarts, ..heart }, Verdict::Restart);
        }
        (heart, Verdict::Stalled)
    }

    /// For how long no beat was seen, milliseconds.
    pub fn silent_ms(&self, now: u64, frequency_hz: u64) -> u64 {
        let ticks_per_ms = (frequency_hz / 1000).max(1);
        now.saturating_sub(self.seen) / ticks_per_ms
    }
}

/// After how long the hearts are to be looked at again, milliseconds: half the shortest period. 0: there are none.
pub fn interval_ms(periods_ms: impl Iterator<Item = u32>) -> u64 {
    periods_ms.min().map_or(0, |shortest| (shortest / 2).into())
}
