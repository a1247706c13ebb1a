//! The running hypervisor, seen through the shared area: a consistent copy, cells by name, and the ledger rebuilt from it.

use std::thread::sleep;
use std::time::Duration;

use bulkhead_abi::enter::IMAGE_MAGIC;
use bulkhead_abi::info::{CellInfo, Info, state};
use bulkhead_abi::{ABI_VERSION, MAX_CELLS, MAX_CPUS};
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{
    CellConfig, Delivery, Heartbeat, MemoryConfig, Name, Placement, SystemConfig,
};
use bulkhead_model::id::Mpidr;
use bulkhead_model::ledger::Ledger;
use bulkhead_model::refused::Refused;

use crate::device::Device;
use crate::error::Error;
use crate::store::Store;

/// The most physical address bits that any CPU has; EL2 knows this one's.
const PA_BITS: u8 = 52;
/// Longest wait for EL2 to end a change.
const TRIES: u32 = 2000;

/// A cell that exists.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// Its id.
    pub id: usize,
    /// What EL2 says of it.
    pub info: &'a CellInfo,
}

/// Reads the head of the shared area while EL2 is not changing it.
///
/// # Errors
/// Bulkhead is not enabled, or is of another version.
pub fn read(device: &Device) -> Result<Box<Info>, Error> {
    for _ in 0..TRIES {
        let before = device.info()?;
        if before.magic != IMAGE_MAGIC || before.version != ABI_VERSION {
            return Err(Error::System(format!(
                "the hypervisor has version {}, this command {ABI_VERSION}: install both from one build",
                before.version
            )));
        }
        if before.sequence % 2 == 0 && device.info()?.sequence == before.sequence {
            return Ok(before);
        }
        sleep(Duration::from_millis(1));
    }
    Err(Error::System(
        "the hypervisor is in the middle of a change and does not end it: see `bulkhead log`"
            .to_owned(),
    ))
}

/// Returns a zero-terminated name as text.
pub fn text(bytes: &[u8]) -> String {
    let length = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// Returns the cells that exist, root first.
pub fn cells(info: &Info) -> impl Iterator<Item = Cell<'_>> {
    let all = info
        .cells
        .iter()
        .enumerate()
        .map(|(id, info)| Cell { id, info });
    all.filter(|cell| cell.id == 0 || cell.info.state != state::FREE)
}

/// Returns the cell of this name.
///
/// # Errors
/// There is none; the message lists those that are.
pub fn cell<'a>(info: &'a Info, name: &str) -> Result<Cell<'a>, Error> {
    let mut others = cells(info).skip(1);
    if let Some(cell) = others.find(|cell| text(&cell.info.name) == name) {
        return Ok(cell);
    }
    let names: Vec<String> = cells(info)
        .skip(1)
        .map(|cell| text(&cell.info.name))
        .collect();
    let list = if names.is_empty() {
        "there are no cells".to_owned()
    } else {
        format!("cells: {}", names.join(", "))
    };
    Err(Error::Refused(format!("no cell named '{name}'; {list}")))
}

/// Returns the name of a state.
pub fn state_name(state: u32) -> &'static str {
    state::NAMES
        .get(state as usize)
        .copied()
        .unwrap_or("unknown")
}

/// Returns the name of the cell with this id.
pub fn cell_name(info: &Info, id: u64) -> String {
    match usize::try_from(id).ok().filter(|id| *id < MAX_CELLS) {
        Some(0) => "root".to_owned(),
        Some(id) => text(&info.cells[id].name),
        None => format!("{id}"),
    }
}

/// Returns the CPUs of a cell.
pub fn cpus_of(info: &Info, cell: usize) -> impl Iterator<Item = Mpidr> {
    let count = (info.cpu_count as usize).min(MAX_CPUS);
    info.cpus[..count]
        .iter()
        .filter(move |cpu| cpu.cell as usize == cell)
        .map(|cpu| Mpidr::from_bits(cpu.mpidr))
}

/// Rebuilds the ledger: what exists, from EL2's word and the records of this machine.
///
/// Its ids count the cells in order and are EL2's as long as no slot before a taken one is free.
///
/// # Errors
/// The board's tree and the running hypervisor contradict each other.
pub fn ledger(info: &Info, system: &SystemConfig, store: &Store) -> Result<Ledger, Refused> {
    let hv = Region::pages(Hpa(info.hv_base), info.hv_size)?;
    let pool = if info.pool_size == 0 {
        None
    } else {
        Some(Region::pages(Hpa(info.pool_base), info.pool_size)?)
    };
    let mut ledger = Ledger::new(system, hv, pool, PA_BITS)?;
    for cell in cells(info).skip(1) {
        let Some(config) = config_of(info, cell, store) else {
            continue;
        };
        let claim = ledger.prepare_create(&config, |_| true)?;
        ledger.commit_create(&claim);
    }
    Ok(ledger)
}

/// What a live cell has: as recorded, its main memory where EL2 put it.
fn config_of(info: &Info, cell: Cell<'_>, store: &Store) -> Option<CellConfig> {
    let name = text(&cell.info.name);
    let recorded = store.get(&name).and_then(|record| record.config());
    let mut config = match recorded {
        Some(config) => config,
        None => bare(&name, info, cell)?,
    };
    if let Some(main) = config.memory.first_mut() {
        (main.gpa, main.placement) = (Gpa(cell.info.gpa), Placement::At(Hpa(cell.info.hpa)));
    }
    Some(config)
}

fn bare(name: &str, info: &Info, cell: Cell<'_>) -> Option<CellConfig> {
    let main = MemoryConfig {
        gpa: Gpa(cell.info.gpa),
        placement: Placement::Pool,
        size: cell.info.ram_size,
    };
    Some(CellConfig {
        name: Name::new(name).ok()?,
        cpus: cpus_of(info, cell.id).collect(),
        memory: [main].into_iter().collect(),
        devices: arrayvec::ArrayVec::new(),
        spis: arrayvec::ArrayVec::new(),
        delivery: Delivery::default(),
        heartbeat: Heartbeat::NONE,
        console: None,
    })
}
