//! The log rings that EL2 writes: followed without stopping it, cut into records, decoded.
//!
//! One rule: a record that EL2 may have overwritten meanwhile is left out, and how much was lost is said.

use std::fmt;

use bulkhead_abi::info::{LOG_RING_SIZE, LogRing};
use defmt_decoder::Table;
use object::Object as _;

const HEAD: usize = size_of::<LogRing>();
const DATA: usize = 0x1000 - HEAD;
const _: () = assert!((HEAD + DATA) as u64 == LOG_RING_SIZE);

/// A record of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Index of the CPU that wrote it.
    pub cpu: usize,
    /// When, to put records in order; in the unit of `time_text`'s last digit.
    pub time: u128,
    /// When, as the hypervisor's own format has it.
    pub time_text: String,
    /// How important.
    pub level: String,
    /// What.
    pub message: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>14} cpu{} {:<5} {}",
            self.time_text, self.cpu, self.level, self.message
        )
    }
}

/// A reader of one CPU's ring.
#[derive(Clone, Debug)]
pub struct Ring {
    cpu: usize,
    /// Bytes taken so far, of all ever written.
    taken: u64,
    /// The beginning of a record whose end is not there yet.
    partial: Vec<u8>,
    /// The next bytes are the end of a record whose beginning was lost.
    is_torn: bool,
    last_time: u128,
}

impl Ring {
    /// A reader that begins with the oldest record.
    pub fn new(cpu: usize) -> Self {
        Self {
            cpu,
            taken: 0,
            partial: Vec::new(),
            is_torn: false,
            last_time: 0,
        }
    }

    /// Index of the CPU.
    pub fn cpu(&self) -> usize {
        self.cpu
    }

    /// Takes what is new; `read` copies bytes from an offset in the ring.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read<E>(
        &mut self,
        table: &Table,
        read: impl Fn(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Vec<Entry>, E> {
        let mut ring = [0; HEAD + DATA];
        read(0, &mut ring)?;
        let mut head = [0; HEAD];
        read(0, &mut head)?;
        let written = word(&ring);
        // What EL2 has written since the copy began may have hit its oldest bytes.
        let oldest = word(&head).saturating_sub(DATA as u64);
        let lost = oldest.min(written).saturating_sub(self.taken);
        let mut entries = Vec::new();
        if lost > 0 {
            self.taken += lost;
            self.partial.clear();
            self.is_torn = true;
            entries.push(self.note(format!("{lost} bytes of the log were overwritten")));
        }
        for position in self.taken..written {
            let at = usize::try_from(position % DATA as u64).unwrap_or_default();
            match ring[HEAD + at] {
                0 => entries.extend(self.record(table)),
                byte => self.partial.push(byte),
            }
        }
        self.taken = self.taken.max(written);
        Ok(entries)
    }

    /// Ends a record.
    fn record(&mut self, table: &Table) -> Option<Entry> {
        let bytes = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.is_torn) || bytes.is_empty() {
            return None;
        }
        let mut decoder = table.new_stream_decoder();
        decoder.received(&bytes);
        decoder.received(&[0]);
        let Ok(frame) = decoder.decode() else {
            return Some(self.note(format!(
                "a record of {} bytes cannot be decoded",
                bytes.len()
            )));
        };
        let time_text = frame
            .display_timestamp()
            .map(|time| time.to_string())
            .unwrap_or_default();
        let digits: String = time_text.chars().filter(char::is_ascii_digit).collect();
        self.last_time = digits.parse().unwrap_or(self.last_time);
        let level = frame
            .level()
            .map(|level| level.as_str().to_owned())
            .unwrap_or_default();
        Some(Entry {
            cpu: self.cpu,
            time: self.last_time,
            time_text,
            level,
            message: frame.display_message().to_string(),
        })
    }

    fn note(&self, message: String) -> Entry {
        let (cpu, time) = (self.cpu, self.last_time);
        Entry {
            cpu,
            time,
            time_text: String::new(),
            level: "note".to_owned(),
            message,
        }
    }
}

fn word(ring: &[u8]) -> u64 {
    ring.first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Returns the first eight bytes of the build id of an ELF file (`.note.gnu.build-id`); `None` when it has none.
pub fn build_id(elf: &[u8]) -> Option<u64> {
    let id = object::File::parse(elf).ok()?.build_id().ok()??;
    id.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
