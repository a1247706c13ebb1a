//! Hostile device trees by the million: as the board that a cell is made for, and as the cell itself.
//!
//!     cargo test --profile fuzz -p bulkhead-cli --test fuzz -- --runs 10000000 [--seed N] [--debian] [--keep FILE]
//!     cargo test --profile fuzz -p bulkhead-cli --test fuzz -- FILE...
//!
//! What makes the command line panic, or think for a minute, is kept in `--keep` (`/tmp/bulkhead-fuzz.dtb`). Files are
//! read as they are; those of `fuzz/regressions` always are. One rule: the same seed makes the same trees.

mod drive;
mod model;
mod mutate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, exit};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use drive::Subjects;
use model::Node;
use mutate::{Random, mutate};

/// What a plain `cargo test` makes.
const RUNS: u64 = 5000;
/// No tree takes a ten-thousandth of it, seconds.
const TOO_LONG: u64 = 60;

struct Options {
    runs: u64,
    seed: u64,
    with_debian: bool,
    keep: PathBuf,
    files: Vec<PathBuf>,
}

fn options() -> Options {
    let mut options = Options {
        runs: RUNS,
        seed: 1,
        with_debian: false,
        keep: PathBuf::from("/tmp/bulkhead-fuzz.dtb"),
        files: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok());
        match argument.as_str() {
            "--runs" => options.runs = number().expect("--runs NUMBER"),
            "--seed" => options.seed = number().expect("--seed NUMBER"),
            "--debian" => options.with_debian = true,
            "--keep" => options.keep = arguments.next().expect("--keep FILE").into(),
            // What `cargo test` hands to every test program.
            option if option.starts_with('-') => {}
            file if Path::new(file).is_file() => options.files.push(file.into()),
            _ => {}
        }
    }
    options
}

/// The tree at work, for whoever finds that it takes too long.
type AtWork = Arc<Mutex<(u64, Vec<u8>)>>;

fn main() -> ExitCode {
    let options = options();
    let at_work: AtWork = Arc::default();
    watch(Arc::clone(&at_work), options.keep.clone());
    let subjects = Subjects::new();
    let mut bases = sources();
    if options.with_debian {
        bases.extend(files_below(&drive::debian(), "dtb").map(|path| read(&path)));
    }
    let mut as_they_are = bases.clone();
    as_they_are.extend(options.files.iter().map(|path| read(path)));
    as_they_are.extend(files_below(&folder("fuzz/regressions"), "dtb").map(|path| read(&path)));
    let mut random = Random(options.seed);
    for blob in &as_they_are {
        if !run(&subjects, &at_work, 0, blob, &options) {
            return ExitCode::FAILURE;
        }
    }
    if !options.files.is_empty() {
        return ExitCode::SUCCESS;
    }
    let good: Vec<Node> = bases.iter().filter_map(|blob| Node::read(blob)).collect();
    let begin = Instant::now();
    let mut read = 0u64;
    for number in 1..=options.runs {
        let blob = mutate(&good[random.below(good.len())], &mut random);
        read += u64::from(bulkhead_cli::tree::Tree::parse(&blob).is_ok());
        if !run(&subjects, &at_work, number, &blob, &options) {
            return ExitCode::FAILURE;
        }
    }
    let rate = u128::from(options.runs) * 1000 / begin.elapsed().as_millis().max(1);
    println!(
        "fuzz: {} trees from {} good ones, seed {}: {read} well-formed, no panic; {rate} a second",
        options.runs,
        good.len(),
        options.seed
    );
    ExitCode::SUCCESS
}

/// Does everything with one tree; keeps it when that panics.
fn run(subjects: &Subjects, at_work: &AtWork, number: u64, blob: &[u8], options: &Options) -> bool {
    if let Ok(mut at_work) = at_work.lock() {
        at_work.0 += 1;
        at_work.1.clear();
        at_work.1.extend_from_slice(blob);
    }
    let seed = options.seed ^ number;
    let result = catch_unwind(AssertUnwindSafe(|| subjects.use_all(blob, seed)));
    if result.is_err() {
        keep(&options.keep, blob, &format!("tree {number}: a panic"));
    }
    result.is_ok()
}

fn keep(path: &Path, blob: &[u8], what: &str) {
    let kept = match fs::write(path, blob) {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("nowhere: {error}"),
    };
    eprintln!("fuzz: {what}; kept in {kept}");
}

/// Ends the program when one tree is at work for too long.
fn watch(at_work: AtWork, path: PathBuf) {
    thread::spawn(move || {
        let mut last = 0;
        loop {
            thread::sleep(Duration::from_secs(TOO_LONG));
            let Ok(at_work) = at_work.lock() else {
                continue;
            };
            if at_work.0 == last && last != 0 {
                keep(&path, &at_work.1, "a tree that takes too long");
                exit(1);
            }
            last = at_work.0;
        }
    });
}

/// The good trees that the tests have, as blobs.
fn sources() -> Vec<Vec<u8>> {
    let boards = files_below(&folder("tests/boards"), "dts");
    let cells = files_below(&folder("../board-configs"), "dts");
    boards.chain(cells).map(|path| compile(&path)).collect()
}

fn compile(path: &Path) -> Vec<u8> {
    let mut dtc = Command::new("dtc");
    let output = dtc
        .args(["-q", "-@", "-I", "dts", "-O", "dtb"])
        .arg(path)
        .output();
    output.expect("dtc").stdout
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a readable file")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the files of that kind in a folder and those below it, in order.
fn files_below(folder: &Path, extension: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter()
}
