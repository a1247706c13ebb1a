//! Periods kept and missed.

use core::cell::Cell;
use core::fmt;

use critical_section::Mutex;
use embassy_time::{Duration, Instant, Timer};

/// Name and period of a task, and how it kept it.
pub struct Record {
    name: &'static str,
    period: Duration,
    counts: Mutex<Cell<Counts>>,
}

#[derive(Clone, Copy)]
struct Counts {
    runs: u64,
    missed: u64,
    late_us: LateUs,
}

/// How late activations were since the last report, microseconds.
#[derive(Clone, Copy)]
struct LateUs {
    runs: u64,
    least: u64,
    most: u64,
    sum: u64,
}

impl LateUs {
    const NONE: Self = Self {
        runs: 0,
        least: u64::MAX,
        most: 0,
        sum: 0,
    };
}

impl Record {
    /// An empty record.
    pub const fn new(name: &'static str, period: Duration) -> Self {
        let counts = Counts {
            runs: 0,
            missed: 0,
            late_us: LateUs::NONE,
        };
        Self {
            name,
            period,
            counts: Mutex::new(Cell::new(counts)),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Counts)) -> Counts {
        critical_section::with(|section| {
            let cell = self.counts.borrow(section);
            let mut counts = cell.get();
            change(&mut counts);
            cell.replace(counts)
        })
    }
}

/// Takes the figures since it was displayed last.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            runs,
            missed,
            late_us,
        } = self.update(|counts| counts.late_us = LateUs::NONE);
        write!(
            f,
            "{} {} Hz: {runs} runs",
            self.name,
            1_000_000 / self.period.as_micros()
        )?;
        if late_us.runs > 0 {
            let LateUs {
                runs,
                least,
                most,
                sum,
            } = late_us;
            write!(f, ", jitter min/avg/max {least}/{}/{most} us", sum / runs)?;
        }
        write!(f, ", {missed} missed")
    }
}

/// The activations of a task.
pub struct Periodic {
    record: &'static Record,
    next: Instant,
}

impl Periodic {
    /// The first one is a period from now.
    pub fn new(record: &'static Record) -> Self {
        Self {
            record,
            next: Instant::now() + record.period,
        }
    }

    /// Waits for the next one. A deadline is missed when an activation comes so late that the one after it is due.
    pub async fn next(&mut self) {
        Timer::at(self.next).await;
        let late = Instant::now().saturating_duration_since(self.next);
        let missed = late.as_ticks() / self.record.period.as_ticks();
        self.record.update(|counts| {
            counts.runs += 1;
            counts.missed += missed;
            let (late_us, us) = (&mut counts.late_us, late.as_micros());
            late_us.runs += 1;
            late_us.least = late_us.least.min(us);
            late_us.most = late_us.most.max(us);
            late_us.sum += us;
        });
        let periods = u32::try_from(missed + 1).unwrap_or(u32::MAX);
        self.next += self.record.period * periods;
    }
}
