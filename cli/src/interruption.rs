//! Ctrl-C, and its like from other programs, as a question: work goes on to where it can be undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::Error;

/// Whether the user wants an end.
#[derive(Clone, Debug, Default)]
pub struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// From now on SIGINT, SIGTERM and SIGHUP only answer the question.
    ///
    /// # Errors
    /// Linux does not have it.
    pub fn listen() -> Result<Self, Error> {
        let this = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&this.0)).map_err(|error| {
                Error::System(format!("cannot handle signal {signal}: {error}"))
            })?;
        }
        Ok(this)
    }

    /// Tells whether an end is wanted.
    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
