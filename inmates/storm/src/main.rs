//! Sixteen interrupts at once: served in the order of their priorities, the more urgent within the less urgent.
//!
//! The words of `/chosen`, `bootargs` choose; of each kind all when none is there:
//! `sgi`, `spis=N`: SGIs, or the sixteen SPIs from INTID N on (none without the word), set pending by register;
//! `joined`, `split`: ended by EOIR1 alone, or by EOIR1 and DIR; `daif`, `pmr`, `group`: what masks them before.
//! A line for each combination says `right`, or what was wrong; `storm: done, N right, M wrong` ends it.
#![no_std]
#![no_main]

mod checks;
mod record;

use inmate_rt::gic::{End, Gic, Role};
use inmate_rt::{IntId, Tree, cpu, entry, exception, println};

use checks::Mask;

/// How many interrupts.
const COUNT: usize = 16;

entry!(main);

fn main(tree: Tree) -> ! {
    let words = tree.boot_arguments();
    let chosen = |kind: &[&str], word: &str| {
        let has = |wanted: &str| words.split_whitespace().any(|word| word == wanted);
        has(word) || !kind.iter().any(|other| has(other))
    };
    exception::set_handler(record::on_interrupt);
    let mut gic = Gic::new(&tree, Role::First);
    let (mut right, mut wrong) = (0, 0);
    let spis = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix("spis=")?.parse::<u32>().ok());
    let sources = [
        (words.contains("sgi") || spis.is_none()).then_some(("sgi", 0)),
        spis.map(|first| ("spi", first)),
    ];
    for (source, first) in sources.into_iter().flatten() {
        let mut lines = [intid(first); COUNT];
        lines
            .iter_mut()
            .zip(first..)
            .for_each(|(line, number)| *line = intid(number));
        lines.iter().for_each(|line| gic.enable(*line));
        for (end_word, end) in [("joined", End::Joined), ("split", End::Split)] {
            for (mask_word, mask) in [
                ("daif", Mask::Daif),
                ("pmr", Mask::Pmr),
                ("group", Mask::Group),
            ] {
                if !chosen(&["joined", "split"], end_word)
                    || !chosen(&["daif", "pmr", "group"], mask_word)
                {
                    continue;
                }
                match checks::all(&tree, &lines, end, mask) {
                    Ok(()) => {
                        right += 1;
                        println!("storm: {source} {end_word} {mask_word}: right");
                    }
                    Err(what) => {
                        wrong += 1;
                        println!("storm: {source} {end_word} {mask_word}: WRONG: {what}");
                    }
                }
            }
        }
    }
    println!("storm: done, {right} right, {wrong} wrong");
    cpu::idle()
}

/// SGIs from 0, SPIs from 32.
fn intid(number: u32) -> IntId {
    match number.checked_sub(32) {
        None => IntId::sgi(number),
        Some(spi) => IntId::spi(spi),
    }
}
