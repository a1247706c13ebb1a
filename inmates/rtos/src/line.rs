//! A line of the console that is sent piece by piece, so that no other task waits for the UART.

use core::fmt;

use embassy_time::Timer;
use inmate_rt::console;

/// Longest line, bytes.
const CAPACITY: usize = 320;

/// A line of text.
pub struct Line {
    bytes: [u8; CAPACITY],
    used: usize,
}

impl Line {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            bytes: [0; CAPACITY],
            used: 0,
        }
    }

    /// Sends it with its end, as fast as the UART takes it, sleeping in between.
    pub async fn send(self) {
        for mut piece in [&self.bytes[..self.used], b"\r\n".as_slice()] {
            loop {
                piece = &piece[console::send(piece)..];
                if piece.is_empty() {
                    break;
                }
                Timer::after_millis(1).await;
            }
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used + text.len();
        let free = self.bytes.get_mut(self.used..end).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}
