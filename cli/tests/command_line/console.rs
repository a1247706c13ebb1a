//! The ring console: nothing honest is lost or made up, and nothing hostile is more than a copy of the ring.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::mem::offset_of;

use bulkhead_abi::console::{AREA_SIZE, Console, INPUT_SIZE, OUTPUT_SIZE, SIZE};
use bulkhead_cli::console::{Memory, Output, Reader, offset_of_cell, send};
use proptest::prelude::*;

/// A console, and what the cell prints between two reads of root's.
struct Ring {
    bytes: RefCell<Vec<u8>>,
    /// After so many reads it prints so much.
    meanwhile: Cell<Option<(usize, usize)>>,
    reads: Cell<usize>,
}

const BEGUN: usize = offset_of!(Console, cell.begun);
const WRITTEN: usize = offset_of!(Console, cell.written);
const TAKEN: usize = offset_of!(Console, cell.taken);
const ROOTS: usize = offset_of!(Console, root.written);
const INPUT: usize = offset_of!(Console, input);
const OUTPUT: usize = offset_of!(Console, output);

impl Memory for Ring {
    type Error = Infallible;
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Infallible> {
        let offset = usize::try_from(offset).unwrap();
        bytes.copy_from_slice(&self.bytes.borrow()[offset..offset + bytes.len()]);
        self.reads.set(self.reads.get() + 1);
        if let Some((after, count)) = self.meanwhile.get()
            && after == self.reads.get()
        {
            self.print(count);
        }
        Ok(())
    }
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Infallible> {
        let offset = usize::try_from(offset).unwrap();
        assert!((128..1024).contains(&offset) || offset == ROOTS);
        self.bytes.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

impl Ring {
    fn new() -> Self {
        Self {
            bytes: RefCell::new(vec![0; usize::try_from(SIZE).unwrap()]),
            meanwhile: Cell::new(None),
            reads: Cell::new(0),
        }
    }

    fn get(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes.borrow()[offset..offset + 8].try_into().unwrap())
    }

    fn set(&self, offset: usize, value: u64) {
        self.bytes.borrow_mut()[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Prints as the inmates do; byte n is a function of n.
    fn print(&self, count: usize) {
        let start = self.get(WRITTEN);
        let end = start + count as u64;
        self.set(BEGUN, end);
        for number in start..end {
            let at = usize::try_from(number).unwrap() % OUTPUT_SIZE;
            self.bytes.borrow_mut()[OUTPUT + at] = byte(number);
        }
        self.set(WRITTEN, end);
    }

    /// Takes a byte as the inmates do.
    fn take(&self) -> Option<u8> {
        let taken = self.get(TAKEN);
        (taken != self.get(ROOTS)).then(|| {
            self.set(TAKEN, taken + 1);
            self.bytes.borrow()[INPUT + usize::try_from(taken).unwrap() % INPUT_SIZE]
        })
    }
}

fn byte(number: u64) -> u8 {
    u8::try_from(number * 7 % 251).unwrap()
}

fn bytes(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.map(|number| byte(number as u64)).collect()
}

fn look(reader: &mut Reader, ring: &Ring) -> (Vec<u8>, bool) {
    let Output { bytes, is_cut } = reader.look(ring).unwrap();
    (bytes, is_cut)
}

#[test]
fn each_cell_but_root_has_one() {
    assert_eq!(offset_of_cell(0), None);
    assert_eq!(offset_of_cell(1), Some(0));
    assert_eq!(offset_of_cell(7), Some(AREA_SIZE - SIZE));
    assert_eq!(offset_of_cell(8), None);
    assert_eq!(offset_of_cell(usize::MAX), None);
}

#[test]
fn history_comes_first_and_then_what_is_new() {
    let ring = Ring::new();
    let mut early = Reader::default();
    assert_eq!(look(&mut early, &ring), (vec![], false));
    ring.print(5000);
    assert_eq!(look(&mut early, &ring), (bytes(0..5000), false));
    ring.print(5000);
    assert_eq!(look(&mut early, &ring), (bytes(5000..10000), false));
    // One that comes late has as much as there is, and both see what follows.
    let mut late = Reader::default();
    let oldest = 10000 - OUTPUT_SIZE;
    assert_eq!(look(&mut late, &ring), (bytes(oldest..10000), true));
    ring.print(1);
    assert_eq!(look(&mut late, &ring), (bytes(10000..10001), false));
    assert_eq!(look(&mut early, &ring), (bytes(10000..10001), false));
    ring.print(OUTPUT_SIZE + 1);
    let newest = bytes(10002..10002 + OUTPUT_SIZE);
    assert_eq!(look(&mut early, &ring), (newest, true));
}

#[test]
fn what_is_overwritten_during_a_look_is_left_out() {
    for (after, count, shown) in [(1, 100, 100..OUTPUT_SIZE), (2, OUTPUT_SIZE, 0..0)] {
        let ring = Ring::new();
        ring.print(OUTPUT_SIZE);
        ring.meanwhile.set(Some((after, count)));
        assert_eq!(look(&mut Reader::default(), &ring), (bytes(shown), true));
    }
    // Begun, not yet there.
    let ring = Ring::new();
    ring.print(OUTPUT_SIZE);
    ring.set(BEGUN, OUTPUT_SIZE as u64 + 10);
    ring.bytes.borrow_mut()[OUTPUT..OUTPUT + 10].fill(0xff);
    let (bytes, is_cut) = look(&mut Reader::default(), &ring);
    assert_eq!((bytes.len(), is_cut), (OUTPUT_SIZE - 10, true));
    assert!(!bytes.contains(&0xff));
}

#[test]
fn input_waits_for_room_and_comes_in_order() {
    let ring = Ring::new();
    let mut sent = 0;
    let mut got = Vec::new();
    while got.len() < 5000 {
        sent += send(&ring, &bytes(sent..sent + 500)).unwrap();
        assert!(sent - got.len() <= INPUT_SIZE);
        got.extend(std::iter::from_fn(|| ring.take()).take(300));
    }
    assert_eq!(got, bytes(0..got.len()));
    while send(&ring, b"x").unwrap() > 0 {}
    assert_eq!(ring.get(ROOTS) - ring.get(TAKEN), INPUT_SIZE as u64);
}

proptest! {
    /// Whatever the words are, a look gives no more than the ring, and nothing is written outside of it (`write` asserts it).
    #[test]
    fn nonsense_is_bounded(words in proptest::collection::vec(
        prop_oneof![any::<u64>(), 0..20_000u64, (u64::MAX - 20_000)..=u64::MAX], 1..40)) {
        let ring = Ring::new();
        let mut reader = Reader::default();
        for words in words.chunks(4) {
            for (place, word) in [BEGUN, WRITTEN, TAKEN, ROOTS].iter().zip(words) {
                ring.set(*place, *word);
            }
            prop_assert!(reader.look(&ring).unwrap().bytes.len() <= OUTPUT_SIZE);
            prop_assert!(send(&ring, &[1; 2000]).unwrap() <= INPUT_SIZE);
        }
    }
}
