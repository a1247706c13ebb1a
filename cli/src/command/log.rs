//! `log`: EL2's own records, decoded and put in order.

use std::io::{self, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use bulkhead_abi::MAX_CPUS;
use bulkhead_abi::info::{Info, LOG_RING_SIZE};
use defmt_decoder::Table;
use serde_json::json;

use super::Context;
use crate::args;
use crate::device::Device;
use crate::error::Error;
use crate::file;
use crate::live;
use crate::log::{Entry, Ring, build_id};
use crate::log_names::Names;
use crate::machine::Machine;
use crate::report::Report;

/// How often to look for more.
const PERIOD: Duration = Duration::from_millis(200);

/// Shows the log; with `--follow` until it is interrupted.
///
/// # Errors
/// Bulkhead is not enabled, or the ELF file is not the running hypervisor's.
pub fn log(context: &Context, args: &args::Log) -> Result<Report, Error> {
    let device = Device::open()?;
    let info = live::read(&device)?;
    let table = table(&args.elf, &info)?;
    let mut rings: Vec<Ring> = (0..(info.cpu_count as usize).min(MAX_CPUS))
        .map(Ring::new)
        .collect();
    loop {
        let mut entries = Vec::new();
        for ring in &mut rings {
            let offset = u64::from(info.log_offset) + ring.cpu() as u64 * LOG_RING_SIZE;
            entries.extend(ring.read(&table, |at, bytes| device.read(offset + at, bytes))?);
        }
        // Stable: what one CPU wrote stays in its order.
        entries.sort_by_key(|entry| entry.time);
        if !entries.is_empty() {
            name(context, &device, &mut entries)?;
        }
        if !args.follow {
            let json = entries.iter().map(to_json).collect();
            let lines: Vec<String> = entries.iter().map(Entry::to_string).collect();
            return Ok(Report::new(lines.join("\n"), json));
        }
        for entry in &entries {
            let line = if context.is_json {
                to_json(entry).to_string()
            } else {
                entry.to_string()
            };
            if writeln!(io::stdout(), "{line}").is_err() {
                return Ok(Report::new("", json!([])));
            }
        }
        sleep(PERIOD);
    }
}

/// Puts names into the records, as they are now.
fn name(context: &Context, device: &Device, entries: &mut [Entry]) -> Result<(), Error> {
    let info = live::read(device)?;
    let machine = Machine::live(context, &info).ok();
    let names = Names {
        info: &info,
        machine: machine.as_ref(),
        store: &context.store,
    };
    names.put(entries);
    Ok(())
}

fn to_json(entry: &Entry) -> serde_json::Value {
    json!({ "cpu": entry.cpu, "time": entry.time_text, "level": entry.level, "message": entry.message })
}

fn table(path: &Path, info: &Info) -> Result<Table, Error> {
    let elf = file::read(path)?;
    let wrong = |reason: String| Error::System(format!("{}: {reason}", path.display()));
    match build_id(&elf) {
        Some(id) if id == info.build_id => {}
        Some(id) => {
            let reason = format!(
                "it is build {id:#018x}, running is {:#018x}: give the right one with --elf",
                info.build_id
            );
            return Err(wrong(reason));
        }
        None => {
            return Err(wrong(
                "it has no build id, so it is not the hypervisor's ELF file".to_owned(),
            ));
        }
    }
    let table = Table::parse(&elf)
        .map_err(|error| wrong(format!("its log texts cannot be read: {error:#}")))?;
    table.ok_or_else(|| wrong("it has no log texts".to_owned()))
}
