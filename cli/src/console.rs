//! A cell's ring console as root sees it ([`bulkhead_abi::console`]).
//!
//! One rule: the cell may write anything there at any time, so each look ends after one copy of each ring, at most, whatever
//! the indices say.

use std::mem::offset_of;
use std::sync::atomic::{Ordering, fence};

use bulkhead_abi::console::{AREA_SIZE, Console, INPUT_SIZE, OUTPUT_SIZE, SIZE};

/// The memory of consoles.
pub trait Memory {
    /// What can go wrong with it.
    type Error;
    /// Copies from an offset in the console.
    ///
    /// # Errors
    /// It is gone.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Self::Error>;
    /// Copies to an offset in the console.
    ///
    /// # Errors
    /// It is gone.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Where the console of a cell, by its id, is in the area of all consoles. None is root's.
pub fn offset_of_cell(id: usize) -> Option<u64> {
    let offset = u64::try_from(id.checked_sub(1)?).ok()?.checked_mul(SIZE)?;
    (offset < AREA_SIZE).then_some(offset)
}

/// What a cell has printed since the last look.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Output {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Others before them were overwritten before this look.
    pub is_cut: bool,
}

/// A reader of a cell's output. There may be several: none leaves a trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    /// The byte that comes next, counted for ever; none before the first look.
    next: Option<u64>,
}

impl Reader {
    /// Takes what is new; at the first look all that is there.
    ///
    /// # Errors
    /// The console is gone.
    pub fn look<M: Memory>(&mut self, memory: &M) -> Result<Output, M::Error> {
        let written = word(memory, offset_of!(Console, cell.written))?;
        // The kernel's copies are made by this CPU: the bytes are read after the index that says they are there.
        fence(Ordering::SeqCst);
        let size = OUTPUT_SIZE as u64;
        let oldest = written.saturating_sub(size);
        let next = self.next.unwrap_or(oldest);
        let is_overtaken = written.wrapping_sub(next) > size;
        let start = if is_overtaken { oldest } else { next };
        let mut ring = vec![0; OUTPUT_SIZE];
        if start != written {
            let at = offset_of!(Console, output) as u64;
            memory.read(at, &mut ring)?;
        }
        // And before the index that says which of them were being overwritten meanwhile.
        fence(Ordering::SeqCst);
        let begun = word(memory, offset_of!(Console, cell.begun))?;
        let lost = begun.saturating_sub(size).saturating_sub(start);
        let count = usize::try_from(written.wrapping_sub(start)).unwrap_or(OUTPUT_SIZE);
        let first = index(start, OUTPUT_SIZE);
        let all = ring.iter().cycle().skip(first).take(count);
        let bytes: Vec<u8> = all
            .skip(usize::try_from(lost).unwrap_or(usize::MAX))
            .copied()
            .collect();
        let is_cut = match self.next {
            Some(_) => is_overtaken || lost > 0,
            None => oldest > 0 || lost > 0,
        };
        self.next = Some(written);
        Ok(Output { bytes, is_cut })
    }
}

/// Gives a cell as many of the bytes as it has room for; returns how many. There must be one writer.
///
/// # Errors
/// The console is gone.
pub fn send<M: Memory>(memory: &M, bytes: &[u8]) -> Result<usize, M::Error> {
    let place = offset_of!(Console, root.written);
    let written = word(memory, place)?;
    let taken = word(memory, offset_of!(Console, cell.taken))?;
    // A distance that is none leaves no room, until the cell comes to its senses.
    let waiting = usize::try_from(written.wrapping_sub(taken)).unwrap_or(usize::MAX);
    let count = INPUT_SIZE.saturating_sub(waiting).min(bytes.len());
    if count == 0 {
        return Ok(0);
    }
    // The cell has read what was at this place before.
    fence(Ordering::SeqCst);
    let first = index(written, INPUT_SIZE);
    let (head, tail) = bytes[..count].split_at(count.min(INPUT_SIZE - first));
    let at = offset_of!(Console, input);
    memory.write((at + first) as u64, head)?;
    if !tail.is_empty() {
        memory.write(at as u64, tail)?;
    }
    // The bytes are there before the index says so.
    fence(Ordering::SeqCst);
    let written = written.wrapping_add(count as u64);
    memory.write(place as u64, &written.to_le_bytes())?;
    Ok(count)
}

fn word<M: Memory>(memory: &M, offset: usize) -> Result<u64, M::Error> {
    let mut bytes = [0; 8];
    memory.read(offset as u64, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn index(count: u64, size: usize) -> usize {
    usize::try_from(count % size as u64).unwrap_or(0)
}
