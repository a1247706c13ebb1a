//! A spinner for what takes longer than two seconds, on a terminal only.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

/// Does the work and says what it is when it takes long.
pub fn watch<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(Duration::from_secs(2)) == Err(RecvTimeoutError::Timeout) {
                let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
                spinner.enable_steady_tick(Duration::from_millis(200));
                // Ends when the sender goes.
                while is_done.recv().is_ok() {}
                spinner.finish_and_clear();
            }
        });
        let result = work();
        drop(done);
        result
    })
}
